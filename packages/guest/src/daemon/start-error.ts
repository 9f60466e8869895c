/** The daemon cannot start here; the message says why and what to do. */
export class StartError extends Error {
  readonly code = 'ERR_SNAPSAFE_START'
  override readonly name = 'StartError'
}
