/** Why a hook ended without having adjusted. */
export interface HookFailure {
  readonly outcome: 'failed' | 'superseded'
  readonly error: unknown
}

/** A hook did not end in the time that it had. */
export class HookTimeoutError extends Error {
  readonly code = 'ERR_SNAPSAFE_HOOK_TIMEOUT'
  override readonly name = 'HookTimeoutError'
}

/**
 * Runs one handler until it settles, its time is up, or `cancelled` is aborted, whichever is first; its signal is aborted in
 * the latter two. Never rejects: undefined is success.
 */
export async function runHook<E extends { readonly signal: AbortSignal }>(
  handler: (event: E) => unknown,
  event: Omit<E, 'signal'>,
  timeoutMs: number,
  cancelled: AbortSignal,
): Promise<HookFailure | undefined> {
  const stop = new AbortController()
  const timer = setTimeout(
    () => stop.abort(new HookTimeoutError(`the hook did not end within its ${timeoutMs} ms`)),
    timeoutMs,
  )
  const cancel = () => stop.abort(cancelled.reason)
  cancelled.addEventListener('abort', cancel, { once: true })
  if (cancelled.aborted) cancel()
  try {
    const stopped = new Promise<never>((_, reject) => {
      stop.signal.addEventListener('abort', () => reject(stop.signal.reason), { once: true })
      if (stop.signal.aborted) reject(stop.signal.reason)
    })
    await Promise.race([(async () => handler({ ...event, signal: stop.signal } as E))(), stopped])
    return undefined
  } catch (error) {
    return { outcome: cancelled.aborted ? 'superseded' : 'failed', error }
  } finally {
    clearTimeout(timer)
    cancelled.removeEventListener('abort', cancel)
  }
}
