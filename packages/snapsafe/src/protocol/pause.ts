export interface Pause {
  /** Does not keep the process alive, unless somebody calls its `ref`. */
  readonly timer: NodeJS.Timeout
  /** Resolves when the time has passed or the signal is aborted. */
  readonly over: Promise<void>
}

export function startPause(ms: number, signal: AbortSignal): Pause {
  let end = (): void => {}
  const over = new Promise<void>((resolve) => {
    end = resolve
  })
  const timer = setTimeout(finish, ms)
  timer.unref()
  signal.addEventListener('abort', finish, { once: true })
  if (signal.aborted) finish()
  return { timer, over }

  function finish(): void {
    clearTimeout(timer)
    signal.removeEventListener('abort', finish)
    end()
  }
}
