import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const consoleTailLines = 40

/**
 * The folder of one booted guest and everything that comes of it. It goes away when the last user is done, unless
 * something failed: then it is kept for a look at the logs, and the error names it.
 */
export class WorkFolder {
  readonly path: string
  #users = 0
  #parts = 0
  #keep = process.env.SNAPSAFE_VM_KEEP !== undefined

  private constructor(path: string) {
    this.path = path
  }

  static async create(): Promise<WorkFolder> {
    return new WorkFolder(await mkdtemp(join(tmpdir(), 'snapsafe-vm-')))
  }

  /** A new folder inside for one process or snapshot. Names are short: socket paths are limited. */
  async part(name: string): Promise<string> {
    const path = join(this.path, `${name}${++this.#parts}`)
    await mkdir(path)
    return path
  }

  /** Counts somebody who needs the folder. */
  use(): void {
    this.#users += 1
  }

  /** Undoes one `use`. */
  async release(): Promise<void> {
    this.#users -= 1
    if (this.#users === 0 && !this.#keep) await rm(this.path, { recursive: true, force: true })
  }

  /** Keeps the folder for good. */
  keep(): void {
    this.#keep = true
  }
}

/** The last lines of a log, for an error message. */
export async function logTail(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => '')
  return text.trimEnd().split(/\r?\n/).slice(-consoleTailLines).join('\n')
}
