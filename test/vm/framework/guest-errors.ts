import { readFile } from 'node:fs/promises'
import type { QemuMachine } from '../../../packages/host/src/index.ts'
import { logTail, type WorkFolder } from './work-folder.ts'

/** The guest panicked, powered off, or does not answer. The message has the end of its console log and of QEMU's. */
export class GuestDiedError extends Error {
  readonly code = 'ERR_SNAPSAFE_VM_GUEST_DIED'
  override readonly name = 'GuestDiedError'

  static async describe(what: string, machine: QemuMachine, work: WorkFolder): Promise<GuestDiedError> {
    const said = (await readFile(machine.processLogPath, 'utf8').catch(() => '')).trim()
    const console = await logTail(machine.consoleLogPath)
    return new GuestDiedError(
      `${what}; logs are in ${work.path}\n${said ? `QEMU said: ${said}\n` : ''}end of the console:\n${console || '(empty)'}`,
    )
  }
}

/** The kernel that a guest asks for cannot be had; a case on it is to be skipped. */
export class KernelNotAvailableError extends Error {
  readonly code = 'ERR_SNAPSAFE_VM_KERNEL_NOT_AVAILABLE'
  override readonly name = 'KernelNotAvailableError'
}
