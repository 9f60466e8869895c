/** What was to be protected is nothing that the daemon can, or may, overwrite; the message says why. */
export class NotProtectableError extends Error {
  readonly code = 'ERR_SNAPSAFE_NOT_PROTECTABLE'
  override readonly name = 'NotProtectableError'
}
