/**
 * The secret is gone: it was overwritten because of a snapshot or a restore, or nothing was written yet. Make a new one and
 * write it.
 */
export class ProtectedMemoryWipedError extends Error {
  readonly code = 'ERR_SNAPSAFE_MEMORY_WIPED'
  override readonly name = 'ProtectedMemoryWipedError'
}

/** There cannot be such memory in this process; the message says why. */
export class ProtectedMemoryUnsupportedError extends Error {
  readonly code = 'ERR_SNAPSAFE_MEMORY_UNSUPPORTED'
  override readonly name = 'ProtectedMemoryUnsupportedError'
}

/** The memory was closed before. */
export class ProtectedMemoryClosedError extends Error {
  readonly code = 'ERR_SNAPSAFE_MEMORY_CLOSED'
  override readonly name = 'ProtectedMemoryClosedError'
}
