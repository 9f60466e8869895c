import { DeadlineError, type Wait } from '../../../packages/host/src/index.ts'
import type { AgentLink } from './agent-link.ts'

/** Emulated guests are slow, and two of them share two cores with the tests. */
const defaultTimeoutMs = 30_000
/** By how much the host's deadline is later than the guest's own, whose message says more. */
const slackMs = 5_000

/** How a program in the guest is run. */
export interface ProgramOptions {
  /** Added to a small environment (PATH, HOME). */
  env?: Record<string, string>
  /** Default 0, root; `guestUserId` is the unprivileged user. */
  uid?: number
  /** Default `/`. */
  cwd?: string
}

/** What a finished program left. */
export interface ExecResult {
  code: number | null
  signal: NodeJS.Signals | null
  /** At most 4 MiB of each stream. */
  stdout: string
  stderr: string
  /** It was killed at its deadline. */
  timedOut: boolean
  /** Some of its output was cut. */
  truncated: boolean
}

/** A line that a started program wrote. */
export interface ProgramLine {
  /** Counts the lines of the program from 0; lines from before a snapshot count in the clone as well. */
  index: number
  stream: 'stdout' | 'stderr'
  text: string
}

/** How a started program ended. */
export interface ProgramExit {
  code: number | null
  signal: NodeJS.Signals | null
}

type PartialWait = Partial<Wait>

/**
 * What can be done inside a guest. Every call has a deadline, 30 s if not given, which the guest keeps as well. Programs
 * that were started live on in clones under the same name.
 */
export abstract class GuestAgent {
  protected abstract get link(): AgentLink

  /** Runs a program to its end, whatever its exit code. Rejects with `AgentError` if it cannot be started. */
  async exec(
    argv: readonly string[],
    options: ProgramOptions & { input?: string } & PartialWait = {},
  ): Promise<ExecResult> {
    return (await this.#request('exec', { argv, ...options })) as ExecResult
  }

  /** Runs a program that has to succeed and resolves with its stdout. Otherwise the error quotes what it wrote. */
  async run(
    argv: readonly string[],
    options: ProgramOptions & { input?: string } & PartialWait = {},
  ): Promise<string> {
    const { code, signal, stdout, stderr, timedOut } = await this.exec(argv, options)
    if (code === 0) return stdout
    const how = timedOut ? 'was killed at its deadline' : `ended with ${signal ?? code}`
    throw new Error(
      `${argv.join(' ')} ${how} in the guest: ${stderr.trim() || stdout.trim() || 'it wrote nothing'}`,
    )
  }

  /** Starts a program that runs on, known by `name` from then on. Its stderr also goes to the console log. */
  async start(
    name: string,
    argv: readonly string[],
    options: ProgramOptions & PartialWait = {},
  ): Promise<{ pid: number }> {
    return (await this.#request('start', { name, argv, ...options })) as { pid: number }
  }

  /** Writes a line to a started program and resolves with its next line on stdout. Questions to one program take turns. */
  async ask(name: string, line: string, options: PartialWait = {}): Promise<string> {
    return (await this.#request('ask', { name, line, ...options })) as string
  }

  /** Resolves with the first line, past or to come, from index `from` on that contains `text`. */
  async waitLine(
    name: string,
    text: string,
    options: { from?: number } & PartialWait = {},
  ): Promise<ProgramLine> {
    return (await this.#request('waitLine', { name, text, ...options })) as ProgramLine
  }

  /** The latest 1000 lines of a started program, also after its end. */
  async lines(name: string, options: PartialWait = {}): Promise<ProgramLine[]> {
    return (await this.#request('lines', { name, ...options })) as ProgramLine[]
  }

  /** Ends a started program (SIGTERM if no signal is given) and resolves with how it ended. */
  async stop(
    name: string,
    options: { signalName?: NodeJS.Signals } & PartialWait = {},
  ): Promise<ProgramExit> {
    const { signalName, ...rest } = options
    return (await this.#request('stop', { name, kill: signalName, ...rest })) as ProgramExit
  }

  /** Sends a signal to a started program without waiting for anything. */
  async kill(name: string, signalName: NodeJS.Signals, options: PartialWait = {}): Promise<void> {
    await this.#request('kill', { name, kill: signalName, ...options })
  }

  /** Resolves when a started program has ended by itself. */
  async waitExit(name: string, options: PartialWait = {}): Promise<ProgramExit> {
    return (await this.#request('waitExit', { name, ...options })) as ProgramExit
  }

  /** Reads a file of at most 16 MiB; with `part`, at most `bytes` of it from `offset` on. */
  async readFile(
    path: string,
    { part, ...options }: { part?: { offset: number; bytes: number } } & PartialWait = {},
  ): Promise<Buffer> {
    return Buffer.from((await this.#request('readFile', { path, ...part, ...options })) as string, 'base64')
  }

  /** Reads a file as text. */
  async readText(path: string, options: PartialWait = {}): Promise<string> {
    return (await this.readFile(path, options)).toString('utf8')
  }

  /** Writes a file in one write; `flag` as in `fs.writeFile`. */
  async writeFile(
    path: string,
    data: string | Buffer,
    options: { mode?: number; flag?: string } & PartialWait = {},
  ): Promise<void> {
    await this.#request('writeFile', { path, data: Buffer.from(data).toString('base64'), ...options })
  }

  /** Resolves with the text of a file once it exists and, if given, contains `contains`. */
  async waitFile(path: string, options: { contains?: string } & PartialWait = {}): Promise<string> {
    return Buffer.from((await this.#request('waitFile', { path, ...options })) as string, 'base64').toString(
      'utf8',
    )
  }

  /** Resolves when the agent answers. */
  async ping(options: PartialWait = {}): Promise<{ pid: number; uptimeMs: number }> {
    return (await this.#request('ping', options)) as { pid: number; uptimeMs: number }
  }

  /** The guest gave no answer at all, not even that its own deadline has passed. */
  protected onSilence(): void {}

  async #request(
    operation: string,
    { signal, timeoutMs = defaultTimeoutMs, ...args }: PartialWait & Record<string, unknown>,
  ): Promise<unknown> {
    const wait = { timeoutMs: timeoutMs + slackMs, signal }
    try {
      return await this.link.request(operation, { ...args, timeoutMs }, wait)
    } catch (error) {
      if (error instanceof DeadlineError) this.onSilence()
      throw error
    }
  }
}
