import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadNative } from 'snapsafe/native'
import { eventually } from '../support/eventually.ts'
import { TestCgroup } from '../support/test-cgroup.ts'

const program = join(import.meta.dirname, 'workload.mjs')
const group = 'work'
const fileBytes = 4096
const firstSlot = 2
const slots = 511
/** Starting Node on a loaded machine. */
const startDeadlineMs = 20_000

/** Processes that are frozen: one that looks at the page in each of its steps, in a cgroup of its own. See workload.mjs. */
export class Workload {
  /** The cgroup's path, for `[freeze] groups`. */
  readonly path: string
  readonly #cgroup = new TestCgroup()
  #words = new Uint32Array()

  constructor() {
    this.path = this.#cgroup.make(group)
  }

  /** Starts it on a page that exists; resolves when it makes steps. */
  async start(pagePath: string): Promise<void> {
    const { addon } = loadNative()
    if (!addon) throw new Error('these tests need the addon: npm run build')
    const file = join(this.#cgroup.folder, 'steps')
    writeFileSync(file, Buffer.alloc(fileBytes))
    const fd = openSync(file, 'r')
    this.#words = new Uint32Array(addon.mapPage(fd))
    closeSync(fd)
    this.#cgroup.run(group, process.execPath, [program, pagePath, file])
    await eventually('the workload makes steps', () => this.step() > 0, { deadlineMs: startDeadlineMs })
  }

  /** How many steps it has begun. */
  step(): number {
    return Atomics.load(this.#words, 0)
  }

  isFrozen(): boolean {
    return this.#cgroup.isFrozen(group)
  }

  /** The first step that saw another generation than this one, which it has seen before; undefined where none has. */
  firstStepAfter(generation: number): number | undefined {
    const changes = Atomics.load(this.#words, 1)
    for (let change = changes - 1; change >= Math.max(0, changes - slots); change--) {
      const slot = firstSlot + 2 * (change % slots)
      if (Atomics.load(this.#words, slot) !== generation) continue
      return change + 1 < changes
        ? Atomics.load(this.#words, firstSlot + 2 * ((change + 1) % slots) + 1)
        : undefined
    }
    throw new Error(`the workload has never seen generation ${generation}`)
  }

  /** Resolves when it has made a few steps more: it runs. */
  async goesOn(explain: () => string): Promise<void> {
    const from = this.step()
    await eventually('the workload goes on', () => this.step() > from + 2, { explain })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cgroup[Symbol.asyncDispose]()
  }
}
