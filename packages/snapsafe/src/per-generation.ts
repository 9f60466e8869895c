import { channel } from 'node:diagnostics_channel'
import { type Guarded, runGuarded } from './guard.ts'
import { readStamp } from './local-page.ts'

/** Publishes `{ error }` when a `discard` has thrown. */
const discardFailedChannel = channel('snapsafe:discard-failed')

export interface PerGenerationOptions<T> {
  /**
   * Takes each value of a past generation once, soon after the factory was asked for its successor; also one that was
   * thrown away because the generation moved while it was made. The place to wipe a key or close a pool. What it throws, or
   * rejects with, goes to the diagnostics channel `snapsafe:discard-failed`.
   */
  readonly discard?: ((value: Awaited<T>) => unknown) | undefined
}

/**
 * A value that belongs to a generation: made by `factory` at the first call, returned by every call of the same generation,
 * and made anew at the first call in the next. A call costs two loads from memory when nothing has
 * changed.
 *
 * Where `factory` returns a promise, all calls get the same promise until it settles, even across a restore: it settles to
 * a value of the generation in which it settles. A rejection is not kept: the next call tries again.
 *
 * While the system is quiesced for a snapshot there is no value that would be of one copy only: who asks for it then gets a
 * GenerationUnstableError, as from a guard, and the value that there was counts as one of the past, also if the system goes
 * on without a restore. Whoever does not ask in that time keeps it in that case.
 *
 * `factory` runs under a guard, so it may run more than once for a value. It must not ask for that very value: that throws,
 * and after an `await` it would wait for itself.
 */
export function perGeneration<T>(
  factory: (generation: number) => T,
  options: PerGenerationOptions<T> = {},
): () => Guarded<T> {
  const { discard } = options
  if (typeof factory !== 'function') throw new TypeError('perGeneration needs a function')
  let value: Guarded<T> | undefined
  /** undefined: there is no value. 'pending': it is being made, or a promise that has not settled. */
  let madeIn: number | 'pending' | undefined
  let making = false

  function make(): Guarded<T> {
    const old = madeIn === undefined ? undefined : { value: value as Guarded<T> }
    madeIn = 'pending'
    making = true
    try {
      value = runGuarded(factory, {}, { mark, drop })
    } catch (error) {
      madeIn = undefined
      value = undefined
      throw error
    } finally {
      making = false
      if (old) drop(old.value)
    }
    return value
  }

  function mark(generation: number | undefined): void {
    madeIn = generation
    if (generation === undefined) value = undefined
  }

  /** What goes wrong in `discard` is not the business of the caller who asked for the new value. */
  function drop(old: unknown): void {
    if (!discard) return
    void Promise.resolve(old)
      .then((value) => discard(value as Awaited<T>))
      .catch((error: unknown) => discardFailedChannel.publish({ error }))
  }

  return () => {
    if (making) throw new Error('the factory of a perGeneration value asked for that very value')
    if (madeIn === 'pending' || madeIn === readStamp()) return value as Guarded<T>
    return make()
  }
}
