import { channel } from 'node:diagnostics_channel'
import { readGeneration } from './generation.ts'
import { runGuarded } from './guard.ts'

/** Publishes `{ error }` when a `discard` has thrown. */
const discardFailedChannel = channel('snapsafe:discard-failed')

export interface PerGenerationOptions<T> {
  /** Takes the value of a past generation when its successor has been made: the place to wipe a key or close a pool. */
  readonly discard?: (value: Awaited<T>) => void
}

/**
 * A value that belongs to a generation: made by `factory` at the first call, returned by every call of the same generation,
 * and made anew at the first call in the next. A call costs a load from memory when nothing has changed.
 *
 * Where `factory` returns a promise, all calls get the same promise until it settles, even across a restore: it settles to
 * a value of the generation in which it settles. A rejection is not kept: the next call tries again.
 */
export function perGeneration<T>(
  factory: (generation: number) => T,
  options: PerGenerationOptions<T> = {},
): () => T {
  let value: T | undefined
  /** undefined: there is no value. 'pending': it is being made, or a promise that has not settled. */
  let madeIn: number | 'pending' | undefined
  let making = false

  function make(): T {
    const old = madeIn === undefined ? undefined : { value: value as T }
    madeIn = 'pending'
    making = true
    try {
      value = runGuarded(factory, {}, (generation) => {
        madeIn = generation
        if (generation === undefined) value = undefined
      })
    } catch (error) {
      madeIn = undefined
      value = undefined
      throw error
    } finally {
      making = false
      if (old && options.discard) discardLater(old.value, options.discard)
    }
    return value
  }

  return () => {
    if (making) throw new Error('the factory of a perGeneration value asked for that very value')
    if (madeIn === 'pending' || madeIn === readGeneration()) return value as T
    return make()
  }
}

/** What goes wrong in `discard` is not the business of the caller who asked for the new value. */
function discardLater<T>(old: T, discard: (value: Awaited<T>) => void): void {
  void Promise.resolve(old)
    .then(discard)
    .catch((error: unknown) => discardFailedChannel.publish({ error }))
}
