import { readStamp } from './local-page.ts'
import { enterGeneration } from './renewal.ts'

/** More restores than this while one function runs are not bad luck: the function waits for something that they break. */
const defaultAttempts = 8

export interface GuardOptions {
  /** How many times `fn` is run at most; 1 or more. Default 8. */
  readonly attempts?: number | undefined
  /** Stops between two runs; the result is then the signal's reason, thrown. */
  readonly signal?: AbortSignal | undefined
}

/** What a guarded function gives: its result as it is, or a promise of it for a promise or anything else with a `then`. */
export type Guarded<T> = T extends PromiseLike<unknown> ? Promise<Awaited<T>> : T

/**
 * The generation moved during every run of a guarded function, or the system is quiesced for a snapshot. The last result was
 * thrown away.
 */
export class GenerationUnstableError extends Error {
  readonly code = 'ERR_SNAPSAFE_GENERATION_UNSTABLE'
  override readonly name = 'GenerationUnstableError'
}

/**
 * Runs `fn` with the current generation, and again if the generation moved while it ran: what is returned was made by this
 * copy of the machine, as far as the page tells. Before each run this thread's randomness is made to belong to the
 * generation. `fn` may return a promise; then the generation is checked when that settles. Since `fn` may run more than
 * once, it must not have given its result away. An error of `fn` is thrown on, unless the generation moved.
 *
 * While the system is quiesced for a snapshot, whatever `fn` makes would be in each of its copies. That counts as a move, so
 * that this ends in a GenerationUnstableError; but only processes that are not frozen get to see it.
 */
export function guard<T>(fn: (generation: number) => T, options: GuardOptions = {}): Guarded<T> {
  const { attempts = defaultAttempts } = options
  if (typeof fn !== 'function') throw new TypeError('guard needs a function')
  if (!(attempts >= 1)) throw new RangeError(`attempts is ${attempts}; it must be 1 or more`)
  return runGuarded(fn, options, { mark() {}, drop() {} })
}

/** Follows the runs of a guarded function. */
export interface GuardObserver<T> {
  /** Told the generation of the result before it is returned, or for a promise when that settles; undefined: rejected. */
  mark(generation: number | undefined): void
  /** Told of each result that is thrown away because the generation moved. */
  drop(value: Awaited<T>): void
}

/** As `guard`, with an observer. */
export function runGuarded<T>(
  fn: (generation: number) => T,
  options: GuardOptions,
  observer: GuardObserver<T>,
): Guarded<T> {
  const { attempts = defaultAttempts, signal } = options
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted()
    const before = enterGeneration()
    let value: T
    try {
      value = fn(before)
    } catch (error) {
      if (before === readStamp()) throw error
      if (attempt >= attempts) throw unstable(attempts, error)
      continue
    }
    if (isThenable(value)) {
      const first = { value, generation: before, attempt }
      return settle(first, fn, options, observer as GuardObserver<unknown>) as Guarded<T>
    }
    if (before === readStamp()) {
      observer.mark(before)
      return value as Guarded<T>
    }
    observer.drop(value as Awaited<T>)
    if (attempt >= attempts) throw unstable(attempts)
  }
}

/** Goes on from the first run that gave a promise. */
async function settle(
  first: { readonly value: unknown; readonly generation: number; readonly attempt: number },
  fn: (generation: number) => unknown,
  { attempts = defaultAttempts, signal }: GuardOptions,
  observer: GuardObserver<unknown>,
): Promise<unknown> {
  let running = first.value
  let before = first.generation
  try {
    for (let attempt = first.attempt; ; attempt++) {
      const outcome = await settled(running)
      if (before === readStamp()) {
        if ('error' in outcome) throw outcome.error
        observer.mark(before)
        return outcome.value
      }
      if ('value' in outcome) observer.drop(outcome.value)
      if (attempt >= attempts) throw unstable(attempts, 'error' in outcome ? outcome.error : undefined)
      signal?.throwIfAborted()
      before = enterGeneration()
      // Started inside the promise chain, so that a synchronous throw is looked at like a rejection.
      running = new Promise((resolve) => resolve(fn(before)))
    }
  } catch (error) {
    observer.mark(undefined)
    throw error
  }
}

async function settled(running: unknown): Promise<{ value: unknown } | { error: unknown }> {
  try {
    return { value: await running }
  } catch (error) {
    return { error }
  }
}

/** Whether `await` would wait for it. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false
  return typeof (value as { then?: unknown }).then === 'function'
}

function unstable(attempts: number, cause?: unknown): GenerationUnstableError {
  const why = Number.isNaN(readStamp())
    ? `the system is quiesced for a snapshot, which would hold the result of a guarded function (runs: ${attempts}); try again when it goes on`
    : `the generation moved during each of ${attempts} runs of a guarded function; make the function shorter, or raise attempts`
  return new GenerationUnstableError(why, cause === undefined ? {} : { cause })
}
