import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { before } from './daemon-process.ts'

const libraryDir = join(import.meta.dirname, '../../packages/snapsafe')
const answerDeadlineMs = 20_000
const endDeadlineMs = 20_000

/** What every program can use: `say(value)` is a line for the test, `listen(fn)` takes the test's lines until stdin ends. */
const prelude = `
const say = (value) => process.stdout.write(JSON.stringify(value) + '\\n')
const listen = async (take) => {
  const { createInterface } = await import('node:readline')
  for await (const line of createInterface({ input: process.stdin })) await take(JSON.parse(line))
}
`

export interface ProgramOptions {
  /** Its SNAPSAFE_RUNTIME_DIR. */
  readonly runtimeDir: string
  readonly env?: NodeJS.ProcessEnv
  /** Options of node. */
  readonly nodeArgs?: readonly string[]
  /** A program and its arguments that node's command line is appended to. */
  readonly launcher?: readonly string[]
  /** Default: an ES module. */
  readonly type?: 'mjs' | 'cjs'
}

export interface ProgramEnded {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stderr: string
}

/**
 * A small program that uses the built library by its name, as a process of its own: the library opens the page when it is
 * loaded. The program speaks with the test in lines of JSON, and ends when it wants to; see `prelude`. It is ended by its own pid.
 */
export class LibraryProgram {
  /** How it ended. Rejects after a deadline. */
  readonly ended: Promise<ProgramEnded>
  readonly #child: ChildProcess & { stdin: Writable; stdout: Readable; stderr: Readable }
  readonly #lines: AsyncIterator<string>
  readonly #base = mkdtempSync(join(tmpdir(), 'snapsafe-program-'))
  #stderr = ''

  constructor(
    source: string,
    { runtimeDir, env, nodeArgs = [], launcher = [], type = 'mjs' }: ProgramOptions,
  ) {
    mkdirSync(join(this.#base, 'node_modules'))
    symlinkSync(libraryDir, join(this.#base, 'node_modules/snapsafe'))
    const file = join(this.#base, `program.${type}`)
    writeFileSync(file, prelude + source)
    const [command = '', ...args] = [...launcher, process.execPath, ...nodeArgs, file]
    this.#child = spawn(command, args, {
      env: { ...process.env, NODE_OPTIONS: undefined, SNAPSAFE_RUNTIME_DIR: runtimeDir, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    // It may have ended by itself.
    this.#child.stdin.on('error', () => {})
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
    const ended = new Promise<ProgramEnded>((resolve, reject) => {
      this.#child.once('error', reject)
      this.#child.once('close', (code, signal) => resolve({ code, signal, stderr: this.#stderr }))
    })
    this.ended = before(ended, endDeadlineMs, () => `the program does not end:\n${this.#stderr}`)
    this.ended.catch(() => undefined)
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the program could not be started')
    return this.#child.pid
  }

  tell(value: unknown): void {
    this.#child.stdin.write(`${JSON.stringify(value)}\n`)
  }

  /** No more lines for it. */
  hangUp(): void {
    this.#child.stdin.end()
  }

  // biome-ignore lint/suspicious/noExplicitAny: the test knows what its program says
  async next(): Promise<any> {
    const late = () => `the program says nothing:\n${this.#stderr}`
    const { value, done } = await before(this.#lines.next(), answerDeadlineMs, late)
    if (done) throw new Error(`the program has ended:\n${this.#stderr}`)
    return JSON.parse(value)
  }

  // biome-ignore lint/suspicious/noExplicitAny: as above
  async ask(value: unknown): Promise<any> {
    this.tell(value)
    return this.next()
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.kill('SIGKILL')
    await this.ended.catch(() => undefined)
    rmSync(this.#base, { recursive: true, force: true })
  }
}

/** Runs a program to its end, and resolves with all that it said. */
export async function runProgram(
  source: string,
  options: ProgramOptions,
  // biome-ignore lint/suspicious/noExplicitAny: as above
): Promise<ProgramEnded & { said: any[] }> {
  await using program = new LibraryProgram(source, options)
  program.hangUp()
  const said: unknown[] = []
  for (;;) {
    const line = await program.next().catch((error: Error) => error)
    if (!(line instanceof Error)) said.push(line)
    else return { ...(await program.ended), said }
  }
}
