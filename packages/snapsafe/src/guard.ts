import { enterGeneration, readGeneration } from './generation.ts'

/** More restores than this while one function runs are not bad luck: the function waits for something that they break. */
const defaultAttempts = 8

export interface GuardOptions {
  /** How many times `fn` is run at most. Default 8. */
  readonly attempts?: number
  /** Stops between two runs; the result is then the signal's reason, thrown. */
  readonly signal?: AbortSignal
}

/** The generation moved during every run of a guarded function; the last result was thrown away. */
export class GenerationUnstableError extends Error {
  readonly code = 'ERR_SNAPSAFE_GENERATION_UNSTABLE'
  override readonly name = 'GenerationUnstableError'
}

/**
 * Runs `fn` with the current generation, and again if the generation moved while it ran: what is returned was made by this
 * copy of the machine, as far as the page tells. Before each run this thread's randomness is made to belong to the
 * generation. `fn` may return a promise; then the generation is checked when that settles. Since `fn` may run more than
 * once, it must not have given its result away. An error of `fn` is thrown on, unless the generation moved.
 */
export function guard<T>(fn: (generation: number) => T, options: GuardOptions = {}): T {
  return runGuarded(fn, options, () => {})
}

/**
 * As `guard`, and says in which generation the result was made: by a call of `mark` before it returns, or for a promise
 * when that settles, with undefined if it is rejected.
 */
export function runGuarded<T>(
  fn: (generation: number) => T,
  { attempts = defaultAttempts, signal }: GuardOptions,
  mark: (generation: number | undefined) => void,
): T {
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted()
    const before = enterGeneration()
    let value: T
    try {
      value = fn(before)
    } catch (error) {
      if (before === readGeneration()) throw error
      if (attempt >= attempts) throw unstable(attempts, error)
      continue
    }
    if (isPromise(value)) {
      return settle(value, before, fn, attempts - attempt, signal).then(
        (made) => {
          mark(made.generation)
          return made.value
        },
        (error: unknown) => {
          mark(undefined)
          throw error
        },
      ) as T
    }
    if (before === readGeneration()) {
      mark(before)
      return value
    }
    if (attempt >= attempts) throw unstable(attempts)
  }
}

async function settle(
  first: PromiseLike<unknown>,
  firstGeneration: number,
  fn: (generation: number) => unknown,
  attemptsLeft: number,
  signal: AbortSignal | undefined,
): Promise<{ value: unknown; generation: number }> {
  let running: unknown = first
  let before = firstGeneration
  for (let left = attemptsLeft; ; left--) {
    let failure: { error: unknown } | undefined
    let value: unknown
    try {
      value = await running
    } catch (error) {
      failure = { error }
    }
    if (before === readGeneration()) {
      if (failure) throw failure.error
      return { value, generation: before }
    }
    if (left <= 0) throw unstable(attemptsLeft + 1, failure?.error)
    signal?.throwIfAborted()
    before = enterGeneration()
    // Started inside the promise chain, so that a synchronous throw is looked at like a rejection.
    running = new Promise((resolve) => resolve(fn(before)))
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  )
}

function unstable(attempts: number, cause?: unknown): GenerationUnstableError {
  return new GenerationUnstableError(
    `the generation moved during each of ${attempts} runs of a guarded function; make the function shorter, or raise attempts`,
    { cause },
  )
}
