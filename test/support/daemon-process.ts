import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectToDaemon, defaultRuntimeDir, pagePath, socketPath } from 'snapsafe/protocol'
import { eventually } from './eventually.ts'
import { groupName } from './groups.ts'

/** The program, as a user's shell finds it. */
export const daemonProgram = join(import.meta.dirname, '../../packages/guest/bin/snapsafed.js')

/** Starting takes a quarter of a second; the rest is for a loaded machine. */
const startDeadlineMs = 20_000
/** Of one try. */
const answerTimeoutMs = 5000
/** The daemon gives the peers of open connections one second. */
const stopDeadlineMs = 10_000
export interface DaemonOptions {
  /** The text of its configuration file. See `completed` for what is added to it. */
  readonly config?: string
  readonly env?: NodeJS.ProcessEnv
  /** Beside --runtime-dir, --state-dir and --config. */
  readonly args?: readonly string[]
  /** Default: a fresh one, which goes when the daemon is disposed of. Any other is the caller's. */
  readonly runtimeDir?: string
  readonly uid?: number
  readonly gid?: number
  /** A program and its arguments that the daemon's are appended to. Default: node. */
  readonly launcher?: readonly [string, ...string[]]
}

/** How a process ended. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** All that it wrote to standard error. */
  readonly log: string
}

/** Starts a real daemon on a directory of its own, and resolves when it answers; rejects with its log if it ends before. */
export async function startDaemon(options: DaemonOptions = {}): Promise<DaemonProcess> {
  const daemon = new DaemonProcess(options)
  try {
    await daemon.answers()
    return daemon
  } catch (error) {
    await daemon[Symbol.asyncDispose]()
    throw error
  }
}

/** Starts a daemon that is to end by itself, and resolves with how it did. */
export async function runDaemon(options: DaemonOptions = {}): Promise<Ended> {
  await using daemon = new DaemonProcess(options)
  return await daemon.ended()
}

/** A daemon as a process of its own. It is ended by its own pid, and never outlives the test. */
export class DaemonProcess {
  readonly runtimeDir: string
  readonly stateDir: string
  readonly socket: string
  readonly pagePath: string
  readonly configPath: string
  readonly #options: DaemonOptions
  /** Holds all that is ours to remove. */
  readonly #base: string
  #child: ChildProcess
  #ended: Promise<Ended>
  #log = ''

  constructor(options: DaemonOptions) {
    this.#options = options
    this.#base = mkdtempSync(join(tmpdir(), 'snapsafe-'))
    // Other users are to reach the socket.
    chmodSync(this.#base, 0o755)
    this.runtimeDir = options.runtimeDir ?? join(this.#base, 'run')
    this.stateDir = join(this.#base, 'state')
    this.socket = socketPath(this.runtimeDir)
    this.pagePath = pagePath(this.runtimeDir)
    if (this.runtimeDir.startsWith(defaultRuntimeDir))
      throw new Error('this is the system daemon’s directory')
    this.configPath = join(this.#base, 'snapsafed.toml')
    writeFileSync(this.configPath, completed(options.config ?? ''))
    mkdirSync(this.stateDir)
    ;[this.#child, this.#ended] = this.#start()
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the daemon could not be started')
    return this.#child.pid
  }

  /** What it has logged so far, over all its restarts. */
  log(): string {
    return this.#log
  }

  /** Resolves when it answers on its socket; rejects when it has ended. */
  async answers(): Promise<void> {
    await eventually(
      'the daemon answers',
      async () => {
        const { exitCode, signalCode } = this.#child
        if (exitCode !== null || signalCode !== null) return 'ended'
        if (!existsSync(this.socket)) return undefined
        const client = await connectToDaemon(this.socket, {}).catch(() => undefined)
        const reply = await client
          ?.call('GetState', {}, { timeoutMs: answerTimeoutMs })
          .catch(() => undefined)
        await client?.close()
        return reply && 'answers'
      },
      { deadlineMs: startDeadlineMs, explain: () => this.#log },
    ).then((how) => {
      if (how === 'ended') throw new Error(`the daemon ended instead of answering:\n${this.#log}`)
    })
  }

  /** How it ended, when it has. Rejects after the deadline. */
  async ended(): Promise<Ended> {
    return before(
      this.#ended,
      stopDeadlineMs,
      () => `the daemon (pid ${this.pid}) does not end:\n${this.#log}`,
    )
  }

  /** Sends a signal; resolves at once. See `ended`. */
  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Ends it as a service manager does. */
  async stop(): Promise<Ended> {
    this.kill('SIGTERM')
    return this.ended()
  }

  /** Starts another daemon on the same directories, when this one has ended; stops it where it has not. */
  async restart(): Promise<void> {
    await this.stop()
    ;[this.#child, this.#ended] = this.#start()
    await this.answers()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.stop()
    } catch (error) {
      this.kill('SIGKILL')
      throw error
    } finally {
      rmSync(this.#base, { recursive: true, force: true })
    }
  }

  #start(): [ChildProcess, Promise<Ended>] {
    const { args = [], env, uid, gid, launcher = [process.execPath] } = this.#options
    const own = ['--runtime-dir', this.runtimeDir, '--state-dir', this.stateDir]
    const config = ['--config', this.configPath]
    const [program, ...leading] = launcher
    const child = spawn(program, [...leading, daemonProgram, ...own, ...config, ...args], {
      env: { ...process.env, NOTIFY_SOCKET: undefined, JOURNAL_STREAM: undefined, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
      ...(uid !== undefined && { uid }),
      ...(gid !== undefined && { gid }),
    })
    let log = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      log += text
      this.#log += text
    })
    const ended = new Promise<Ended>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => resolve({ code, signal, log }))
    })
    ended.catch(() => undefined)
    return [child, ended]
  }
}

/**
 * What the machine's own kernel log says is nothing to a test, so a private daemon knows no source but the command. And who
 * runs the tests may bump: as root, or else by a group.
 */
function completed(config: string): string {
  const sources = /^\s*\[sources\]/m.test(config) ? '' : '\n[sources]\nkmsg = "off"\n'
  if (process.getuid?.() === 0 || /^\s*\[daemon\]/m.test(config)) return config + sources
  const group = `group = ${JSON.stringify(groupName(process.getgid?.() ?? -1) ?? 'snapsafe')}`
  return `${config}${sources}\n[daemon]\n${group}\n`
}

/** The promise's value, if it comes within the deadline. */
export async function before<T>(promise: Promise<T>, deadlineMs: number, late: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(late())), deadlineMs)
  })
  try {
    return await Promise.race([promise, tooLate])
  } finally {
    clearTimeout(timer)
  }
}
