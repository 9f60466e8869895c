/** The QMP socket could not be reached, broke, or carried something that is not QMP. The connection is unusable. */
export class QmpConnectionError extends Error {
  readonly code = 'ERR_SNAPSAFE_QMP_CONNECTION'
  override readonly name = 'QmpConnectionError'
}

/** QEMU understood a command and refused it. The connection stays usable. */
export class QmpCommandError extends Error {
  readonly code = 'ERR_SNAPSAFE_QMP_COMMAND'
  override readonly name = 'QmpCommandError'
  readonly command: string
  /** QEMU's error class, for instance `GenericError` or `CommandNotFound`. */
  readonly errorClass: string
  /** QEMU's own words. */
  readonly description: string

  constructor(command: string, errorClass: string, description: string) {
    super(`QEMU refused ${command}: ${description} (${errorClass})`)
    this.command = command
    this.errorClass = errorClass
    this.description = description
  }
}

/** The QEMU process ended, or could not be started, while something was expected of it. */
export class QemuExitedError extends Error {
  readonly code = 'ERR_SNAPSAFE_QEMU_EXITED'
  override readonly name = 'QemuExitedError'
}

/** A snapshot could not be written or read: the migration failed, or the folder does not hold a whole snapshot. */
export class QemuSnapshotError extends Error {
  readonly code = 'ERR_SNAPSAFE_QEMU_SNAPSHOT'
  override readonly name = 'QemuSnapshotError'
}
