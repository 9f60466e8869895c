import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { before, type DaemonProcess } from './daemon-process.ts'
import { eventually } from './eventually.ts'

export const commandProgram = join(import.meta.dirname, '../../packages/guest/bin/snapsafe.js')

const endDeadlineMs = 30_000

/** A user of the machine; what is not given is that of the test. Only root can be another. */
export interface User {
  readonly uid?: number
  readonly gid?: number
}

export interface CommandOptions {
  readonly env?: NodeJS.ProcessEnv
  /** A program and its arguments that the command line is appended to. */
  readonly launcher?: readonly [string, ...string[]]
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
  readonly #child: ChildProcess & {
    readonly stdin: Writable
    readonly stdout: Readable
    readonly stderr: Readable
  }
  #stdout = ''
  #stderr = ''

  constructor(
    { runtimeDir }: Pick<DaemonProcess, 'runtimeDir'>,
    args: readonly string[],
    user: User = {},
    { env = {}, launcher }: CommandOptions = {},
  ) {
    const [program, ...leading] = launcher ? [...launcher, process.execPath] : [process.execPath]
    this.#child = spawn(program, [...leading, commandProgram, ...args], {
      env: { ...process.env, SNAPSAFE_RUNTIME_DIR: runtimeDir, ...env },
      stdio: 'pipe',
      // The test's own may be closed to the other user.
      cwd: '/',
      ...user,
    })
    // It may end before it has read what it is given.
    this.#child.stdin.on('error', () => undefined)
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

  /** Sends a signal; resolves at once. See `ended`. */
  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Writes to its standard input. */
  type(text: string | Uint8Array): void {
    this.#child.stdin.write(text)
  }

  /** Nothing more comes on its standard input. */
  endInput(): void {
    this.#child.stdin.end()
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
