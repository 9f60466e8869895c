/** A wait that ended because its time was up. The message names what was waited for. */
export class DeadlineError extends Error {
  readonly code = 'ERR_SNAPSAFE_DEADLINE'
  override readonly name = 'DeadlineError'
}

/** How long a wait may last, and a signal that ends it sooner. */
export interface Wait {
  /** Milliseconds until the wait rejects with a `DeadlineError`. */
  timeoutMs: number
  /** Ends the wait at once; it then rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

/**
 * Runs `work` with a deadline. Rejects with `DeadlineError` when the time is up and with the reason of `wait.signal` when
 * that aborts. `work` gets a signal that aborts in both cases and is expected to stop then; its own outcome is ignored
 * from there on.
 */
export async function withDeadline<T>(
  what: string,
  wait: Wait,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  wait.signal?.throwIfAborted()
  const controller = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const onAbort = (): void => controller.abort(wait.signal?.reason)
  const ended = new Promise<never>((_resolve, reject) => {
    controller.signal.addEventListener('abort', () => reject(controller.signal.reason), { once: true })
    timer = setTimeout(
      () => controller.abort(new DeadlineError(`${what}: nothing within ${wait.timeoutMs} ms`)),
      wait.timeoutMs,
    )
    wait.signal?.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([work(controller.signal), ended])
  } finally {
    clearTimeout(timer)
    wait.signal?.removeEventListener('abort', onAbort)
  }
}
