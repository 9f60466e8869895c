import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadNative } from 'snapsafe/native'
import { createOrContinuePage, type PageChange, type PageWriter, pagePath } from 'snapsafe/protocol'

/**
 * A page that the test writes itself, in a runtime directory of its own. This process is told of the directory, so the library
 * has to be imported after this was made.
 */
export class TestPage {
  readonly runtimeDir = mkdtempSync(join(tmpdir(), 'snapsafe-page-'))
  readonly path = pagePath(this.runtimeDir)
  #page: PageWriter | undefined

  constructor({ create = true } = {}) {
    process.env.SNAPSAFE_RUNTIME_DIR = this.runtimeDir
    if (create) this.create()
  }

  /** Makes the page, at generation 0 where there was none. */
  create(): void {
    const { addon, reason } = loadNative()
    if (!addon) throw new Error(`${reason}; these tests need it: node tools/build-addon.mjs`)
    this.#page = createOrContinuePage(this.path, { native: addon, id: newId() }).page
  }

  get id(): string {
    return this.#writer.snapshot().id
  }

  get generation(): number {
    return this.#writer.snapshot().generation
  }

  /** Begins the next generation, or the given one, and returns it. */
  bump(generation = this.generation + 1): number {
    this.#writer.publish({ generation, id: newId() })
    return generation
  }

  /** Says that the system is in this phase. */
  enter(phase: PageChange['phase'] & string): void {
    this.#writer.publish({ phase })
  }

  /** Puts a new page, at generation 0, in the place of this one, as a daemon does whose directory was wiped. */
  replace(): void {
    this.#writer.close()
    rmSync(this.path)
    this.create()
  }

  [Symbol.dispose](): void {
    this.#page?.close()
    rmSync(this.runtimeDir, { recursive: true, force: true })
  }

  get #writer(): PageWriter {
    if (!this.#page) throw new Error('there is no page yet')
    return this.#page
  }
}

function newId(): string {
  return randomBytes(16).toString('hex')
}
