const callbacks = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * Calls back once when the signal is aborted; the returned function takes that back. One listener serves all who wait for a
 * signal: Node warns of more than ten, and fifty hooks may share the signal that ends a program.
 */
export function whenAborted(signal: AbortSignal, callback: () => void): () => void {
  let waiting = callbacks.get(signal)
  if (waiting === undefined) {
    const all = new Set<() => void>()
    signal.addEventListener('abort', () => all.forEach((call) => void call()), { once: true })
    callbacks.set(signal, all)
    waiting = all
  }
  waiting.add(callback)
  return () => void waiting.delete(callback)
}
