import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile } from 'node:fs/promises'
import { DeadlineError, type Wait, withDeadline } from '../../deadline.ts'
import { killWithParent } from './child-reaper.ts'
import { qemuCommand, qemuFiles } from './qemu-command.ts'
import { QemuExitedError } from './qemu-errors.ts'
import type { QemuMachineOptions } from './qemu-options.ts'
import { QmpClient } from './qmp.ts'
import { checkSocketPath } from './unix-connect.ts'

const startTimeoutMs = 10_000
const exitGraceMs = 200
/** A stopped QEMU quits in a few ms; one that is writing out its memory file to a slow disk takes longer. */
const quitTimeoutMs = 2_000
const terminateTimeoutMs = 2_000
const killTimeoutMs = 5_000
const quotedLogChars = 2_000

/** How the QEMU process ended. */
export interface QemuExit {
  code: number | null
  signal: NodeJS.Signals | null
}

/**
 * One QEMU process with its QMP connection. It never outlives this process (see `killWithParent`), and only this very
 * child is ever killed.
 */
export class QemuMachine implements AsyncDisposable {
  readonly options: QemuMachineOptions
  readonly qmp: QmpClient
  readonly pid: number
  /** Resolves, never rejects, when the process has ended. */
  readonly exited: Promise<QemuExit>
  readonly #child: ChildProcess
  #closing: Promise<void> | undefined

  private constructor(
    options: QemuMachineOptions,
    child: ChildProcess,
    qmp: QmpClient,
    exited: Promise<QemuExit>,
  ) {
    this.options = options
    this.#child = child
    this.qmp = qmp
    this.pid = child.pid as number
    this.exited = exited
  }

  /**
   * Starts QEMU and resolves when it answers on QMP. Rejects with `QemuExitedError`, quoting QEMU's own words, if the
   * process ends before; nothing is left running after a rejection.
   */
  static async start(options: QemuMachineOptions): Promise<QemuMachine> {
    const files = qemuFiles(options.folder)
    checkSocketPath(files.portSocket(99))
    const child = await spawnQemu(qemuCommand(options), files.processLog)
    const exited = waitForExit(child)
    try {
      const timeoutMs = options.startTimeoutMs ?? startTimeoutMs
      const qmp = await withDeadline(
        'starting QEMU',
        { timeoutMs, signal: options.signal },
        async (signal) => {
          const connected = QmpClient.connect({ path: files.qmpSocket, timeoutMs, signal })
          // A QEMU that dislikes its arguments may drop the QMP connection a moment before it is seen to have ended.
          const ended = exited.then(() => Promise.reject(new QemuExitedError('QEMU ended')))
          return await Promise.race([connected, ended])
        },
      )
      return new QemuMachine(options, child, qmp, exited)
    } catch (error) {
      await withDeadline('QEMU ending', { timeoutMs: exitGraceMs }, () => exited).catch(() => {})
      const endedByItself = exitOf(child)
      child.kill('SIGKILL')
      await exited
      if (!endedByItself) throw error
      const words = await tail(files.processLog)
      throw new QemuExitedError(`QEMU ${describeExit(endedByItself)} at its start: ${words}`, {
        cause: error,
      })
    }
  }

  /** How the process ended; undefined while it runs. */
  get exit(): QemuExit | undefined {
    return exitOf(this.#child)
  }

  /** The log of the serial console, from this process's start on. */
  get consoleLogPath(): string {
    return qemuFiles(this.options.folder).consoleLog
  }

  /** What QEMU itself wrote to stdout and stderr. */
  get processLogPath(): string {
    return qemuFiles(this.options.folder).processLog
  }

  /** The host's end of a virtio-serial port. QEMU listens there for one connection at a time. */
  portSocketPath(name: string): string {
    const index = (this.options.hardware.ports ?? []).indexOf(name)
    if (index !== -1) return qemuFiles(this.options.folder).portSocket(index)
    throw new RangeError(`the machine has no port ${name}: add it to hardware.ports`)
  }

  /** Stops the virtual CPUs. Resolves when they have stopped. */
  async pause(wait: Partial<Wait> = {}): Promise<void> {
    await this.qmp.execute('stop', {}, wait)
  }

  /** Lets the virtual CPUs run. */
  async resume(wait: Partial<Wait> = {}): Promise<void> {
    await this.qmp.execute('cont', {}, wait)
  }

  /**
   * Ends the process: asks it to quit, then SIGTERM, then SIGKILL, each with its deadline (about 9 s in all). Resolves
   * when it is gone. Calling it again gives the same promise.
   */
  async close(): Promise<void> {
    this.#closing ??= this.#end()
    await this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #end(): Promise<void> {
    const steps: [timeoutMs: number, act: () => void][] = [
      [quitTimeoutMs, () => void this.qmp.execute('quit').catch(() => {})],
      [terminateTimeoutMs, () => void this.#child.kill('SIGTERM')],
      [killTimeoutMs, () => void this.#child.kill('SIGKILL')],
    ]
    for (const [timeoutMs, act] of steps) {
      if (this.exit) break
      act()
      await withDeadline('QEMU ending', { timeoutMs }, () => this.exited).catch(() => {})
    }
    await this.qmp.close()
    if (!this.exit)
      throw new DeadlineError(`QEMU ${this.pid} has not ended after SIGKILL; it may hang in the kernel`)
  }
}

/** Says in words how a process ended. */
export function describeExit(exit: QemuExit): string {
  return exit.signal === null ? `exited with ${exit.code}` : `was killed by ${exit.signal}`
}

async function spawnQemu([command, ...args]: [string, ...string[]], logPath: string): Promise<ChildProcess> {
  await using log = await open(logPath, 'a')
  const child = spawn(command, args, { stdio: ['ignore', log.fd, log.fd] })
  try {
    await once(child, 'spawn')
  } catch (error) {
    throw new QemuExitedError(
      `cannot start ${command}: ${(error as Error).message}; is QEMU installed there?`,
    )
  }
  // A failed kill() is reported here as well; close() notices that the process is still there.
  child.on('error', () => {})
  killWithParent(child)
  return child
}

async function waitForExit(child: ChildProcess): Promise<QemuExit> {
  if (!exitOf(child)) await once(child, 'exit')
  return { code: child.exitCode, signal: child.signalCode }
}

function exitOf(child: ChildProcess): QemuExit | undefined {
  const { exitCode, signalCode } = child
  return exitCode === null && signalCode === null ? undefined : { code: exitCode, signal: signalCode }
}

async function tail(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => '')
  return text.trim().slice(-quotedLogChars) || 'it wrote nothing'
}
