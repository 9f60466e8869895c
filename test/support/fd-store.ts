import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from './eventually.ts'

/** As many as systemd would keep. */
const defaultSize = 64

export interface FdStoreOptions {
  readonly size?: number
  /** A socket to listen on for the daemon. */
  readonly listen?: string
  /** Whether it drops a connection that has hung up, as systemd does. Default: it does. */
  readonly looks?: boolean
}

/** A service manager with a file descriptor store, for daemons that are started with its `env` and by its `launcher`. */
export class TestFdStore {
  readonly env: NodeJS.ProcessEnv
  readonly launcher: readonly [string, ...string[]]
  /** The names that it keeps. */
  names: readonly string[] | undefined
  readonly #folder = mkdtempSync(join(tmpdir(), 'snapsafe-fd-store-'))
  readonly #child: ChildProcess
  readonly #ended: Promise<void>

  /** Needs `lacking('python3')`. */
  static async start(options: FdStoreOptions = {}): Promise<TestFdStore> {
    const store = new TestFdStore(options)
    await eventually('the service manager listens', () => store.names !== undefined)
    return store
  }

  private constructor({ size = defaultSize, listen = '', looks = true }: FdStoreOptions) {
    const [notify, handout] = [join(this.#folder, 'notify'), join(this.#folder, 'handout')]
    this.env = { NOTIFY_SOCKET: notify, FDSTORE: String(size) }
    this.launcher = ['python3', script('fd-store-launch.py'), handout, process.execPath]
    const args = [script('fd-store.py'), notify, handout, listen, looks ? 'looks' : '']
    const child = spawn('python3', args, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#child = child
    this.#ended = new Promise((resolve) => child.once('close', () => resolve()))
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (text + chunk).split('\n')
      text = lines.pop() ?? ''
      const last = lines.at(-1)
      if (last !== undefined) this.names = JSON.parse(last)
    })
  }

  /** Resolves when it keeps these, in any order. */
  async keeps(...names: string[]): Promise<void> {
    const wanted = names.sort().join()
    await eventually(
      `the store keeps ${wanted || 'nothing'}`,
      () => [...(this.names ?? [])].sort().join() === wanted,
      { explain: () => `it keeps ${this.names}` },
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function script(name: string): string {
  return join(import.meta.dirname, name)
}
