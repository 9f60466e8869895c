import {
  ConnectError,
  ConnectionClosedError,
  generationErrorName,
  serviceErrors,
  VarlinkError,
} from 'snapsafe/protocol'
import { type ExitCode, exitCodes } from './exit-codes.ts'
import { describeInvalid } from './invalid-parameter.ts'

const unknownMethod = [serviceErrors.methodNotFound('').name, serviceErrors.methodNotImplemented('').name]

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
    case 'Vetoed':
      return new CommandFailure(
        `${String(parameters.name)} (pid ${String(parameters.pid)}) does not want the snapshot: ${String(parameters.reason)}; everything goes on as before`,
        exitCodes.notReady,
      )
    case 'QuiesceFailed':
      return new CommandFailure(
        `the system could not be quiesced: ${String(parameters.reason)}; everything goes on as before`,
        exitCodes.failed,
      )
    case 'WrongPhase':
      return new CommandFailure(wrongPhase(String(parameters.phase)), exitCodes.notReady)
    case 'StaleQuiesce':
      return new CommandFailure('the planned snapshot is over, or it is another one', exitCodes.failed)
    case 'NotProtectable':
      return new CommandFailure(
        `the daemon cannot protect this memory: ${String(parameters.reason)}`,
        exitCodes.failed,
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
    return new CommandFailure(describeInvalid(String(parameters.parameter)), exitCodes.usage)
  }
  if (error instanceof VarlinkError && unknownMethod.includes(error.name)) {
    return new CommandFailure(
      `the daemon is older than this command: ${error.message}`,
      exitCodes.notSupported,
    )
  }
  return new CommandFailure((error as Error)?.message ?? String(error), exitCodes.failed)
}

function wrongPhase(phase: string): string {
  switch (phase) {
    case 'adjusting':
      return 'the guest is adjusting; wait for ready first: snapsafe wait'
    case 'quiescing':
      return 'a snapshot is being prepared for; wait until it is taken, or end the command that asked for it'
    case 'quiesced':
      return 'the system is quiesced for a snapshot; let it go on first: snapsafe resume'
    default:
      return `the daemon does not do this while the guest is ${phase}`
  }
}
