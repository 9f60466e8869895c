import {
  ConnectError,
  ConnectionClosedError,
  generationErrorName,
  serviceErrors,
  VarlinkError,
} from 'snapsafe/protocol'
import { type ExitCode, exitCodes } from './exit-codes.ts'

/** A command ended without what was asked for. The message is for people; the status for scripts. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure'
  readonly exitCode: ExitCode

  constructor(message: string, exitCode: ExitCode) {
    super(message)
    this.exitCode = exitCode
  }
}

/** What an error of the connection or of the daemon means to who called the command. */
export function failureOf(error: unknown): CommandFailure {
  if (error instanceof CommandFailure) return error
  if (error instanceof ConnectError) {
    const running = error.errno === 'ENOENT' || error.errno === 'ECONNREFUSED'
    return running
      ? new CommandFailure(
          `no daemon answers on ${error.path} (${error.errno}); start snapsafed`,
          exitCodes.notRunning,
        )
      : new CommandFailure(error.message, error.errno === 'EACCES' ? exitCodes.noPrivilege : exitCodes.failed)
  }
  if (error instanceof ConnectionClosedError) {
    return new CommandFailure(
      'the connection is closed: the daemon ended, or turned this command away; its log says which',
      exitCodes.failed,
    )
  }
  const parameters = error instanceof VarlinkError ? error.parameters : {}
  switch (generationErrorName(error)) {
    case 'PermissionDenied':
      return new CommandFailure(
        `the daemon does this only for ${String(parameters.required)}`,
        exitCodes.noPrivilege,
      )
    case 'TimedOut':
      return new CommandFailure('timed out', exitCodes.timedOut)
    case 'LimitReached':
      return new CommandFailure(
        `the daemon's limit ${String(parameters.limit)} of ${String(parameters.maximum)} is reached`,
        exitCodes.failed,
      )
    case 'Internal':
      return new CommandFailure('the daemon failed; its log says how', exitCodes.failed)
  }
  if (error instanceof VarlinkError && error.name === serviceErrors.invalidParameter('').name) {
    return new CommandFailure(
      `the daemon does not take this ${String(parameters.parameter)}`,
      exitCodes.usage,
    )
  }
  if (error instanceof VarlinkError && error.name === serviceErrors.methodNotFound('').name) {
    return new CommandFailure(
      `the daemon is older than this command: ${error.message}`,
      exitCodes.notSupported,
    )
  }
  return new CommandFailure((error as Error)?.message ?? String(error), exitCodes.failed)
}
