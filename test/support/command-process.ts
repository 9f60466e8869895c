import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { before, type DaemonProcess } from './daemon-process.ts'
import { eventually } from './eventually.ts'

export const commandProgram = join(import.meta.dirname, '../../packages/guest/bin/snapsafe.js')

const endDeadlineMs = 30_000

/** A user of the machine; what is not given is that of the test. Only root can be another. */
export interface User {
  readonly uid?: number
  readonly gid?: number
}

export interface CommandEnded {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command `snapsafe` against a daemon to its end. */
export async function snapsafe(
  daemon: Pick<DaemonProcess, 'runtimeDir'>,
  args: readonly string[],
  user: User = {},
): Promise<CommandEnded> {
  await using command = new CommandProcess(daemon, args, user)
  return await command.ended
}

/** The command as a process that goes on. Ended by its own pid when it is disposed of. */
export class CommandProcess {
  readonly ended: Promise<CommandEnded>
  readonly #child: ChildProcess & { readonly stdout: Readable; readonly stderr: Readable }
  #stdout = ''
  #stderr = ''

  constructor({ runtimeDir }: Pick<DaemonProcess, 'runtimeDir'>, args: readonly string[], user: User = {}) {
    this.#child = spawn(process.execPath, [commandProgram, ...args], {
      env: { ...process.env, SNAPSAFE_RUNTIME_DIR: runtimeDir },
      stdio: ['ignore', 'pipe', 'pipe'],
      // The test's own may be closed to the other user.
      cwd: '/',
      ...user,
    })
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text
    })
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    const ended = new Promise<CommandEnded>((resolve, reject) => {
      this.#child.once('error', reject)
      this.#child.once('close', (code) => resolve({ code, stdout: this.#stdout, stderr: this.#stderr }))
    })
    this.ended = before(
      ended,
      endDeadlineMs,
      () => `snapsafe ${args.join(' ')} does not end: ${this.#stderr}`,
    )
    this.ended.catch(() => undefined)
  }

  /** The complete lines that it has printed so far. */
  get lines(): string[] {
    return this.#stdout.split('\n').slice(0, -1)
  }

  get stderr(): string {
    return this.#stderr
  }

  /** Resolves with its lines when there are so many. */
  async printed(count: number): Promise<string[]> {
    await eventually(`the command prints ${count} lines`, () => this.lines.length >= count, {
      explain: () => this.#stdout + this.#stderr,
    })
    return this.lines
  }

  /** Nobody reads its output any more. */
  stopReading(): void {
    this.#child.stdout.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL')
    await this.ended.catch(() => undefined)
  }
}
