import { setTimeout as delay } from 'node:timers/promises'
import { CgroupTree } from './cgroup-tree.ts'
import { FreezeError } from './freeze-error.ts'
import { readRecord, writeRecord } from './freeze-record.ts'
import { readGroupFile, writeGroupFile } from './group-file.ts'
import { isWithin, rootGroup } from './group-path.ts'
import { stuckProcess } from './stuck-process.ts'
import { thawRecorded } from './thaw-recorded.ts'

/** Most groups are frozen within a millisecond; those that are not may be busy for long. */
const firstPauseMs = 2
const longestPauseMs = 20

export interface CgroupFreezerOptions {
  /** Where cgroup v2 is mounted. */
  readonly root: string
  /** The file that says what may be frozen; its directory exists. */
  readonly record: string
}

export interface FreezeOptions {
  /** How long it may take until everything stands still. */
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

/**
 * The door to the cgroup v2 freezer (Linux 5.2; "cgroup.freeze" in the kernel's admin-guide/cgroup-v2). A group is frozen
 * with all that is in it and below it, and with what is forked or moved there later. A signal that ends a process without its
 * doing (SIGKILL; SIGTERM without a handler) ends a frozen one too; all others wait for the thaw.
 */
export class CgroupFreezer {
  readonly #tree: CgroupTree
  readonly #record: string
  /** How often there was a thaw: a freeze that waits meanwhile must not wait for what will not come. */
  #thaws = 0

  constructor({ root, record }: CgroupFreezerOptions) {
    this.#tree = new CgroupTree(root)
    this.#record = record
  }

  /**
   * Freezes groups, besides those that are on record. Resolves when every process in them stands still. Rejects with a
   * FreezeError, after everything on record was thawed, where that does not happen in time or the signal aborts.
   *
   * The record is complete before the first group is frozen: a process that is killed at any moment leaves one that names
   * all that may be frozen. What somebody else has frozen is not put on record, and so never thawed here.
   */
  async freeze(groups: readonly string[], { timeoutMs, signal }: FreezeOptions): Promise<void> {
    const end = performance.now() + timeoutMs
    try {
      this.#refuseUnfit(groups)
      if (signal?.aborted) throw new Error('it was given up')
      this.#writeAll(groups)
      const over = (): string | undefined => {
        if (signal?.aborted) return 'it was given up'
        return performance.now() >= end ? `it takes longer than ${timeoutMs} ms` : undefined
      }
      await this.#untilFrozen(groups, over, signal)
    } catch (error) {
      const problems = [`cannot freeze: ${(error as Error).message}`, ...this.thaw()]
      throw new FreezeError(problems.join('; '), { cause: error })
    }
  }

  /** Thaws what is on record, at once; see `thawRecorded`. Cheap where there is no record. */
  thaw(): string[] {
    this.#thaws++
    return thawRecorded(this.#record)
  }

  /** The directories of the groups that may be frozen, by this process or by one before it. */
  recorded(): string[] {
    return readRecord(this.#record)
  }

  #refuseUnfit(groups: readonly string[]): void {
    const own = this.#tree.groupOf('self')
    for (const group of groups) {
      if (group === rootGroup) throw new Error('the root group cannot be frozen')
      // The record has one directory a line.
      if (/\p{C}/u.test(group)) throw new Error(`the name of ${JSON.stringify(group)} has control characters`)
      if (own !== undefined && isWithin(own, group)) throw new Error(`this process itself is in ${group}`)
    }
  }

  #writeAll(groups: readonly string[]): void {
    const before = this.recorded()
    const ours = groups.filter((group) => {
      const directory = this.#tree.directory(group)
      const frozen = readGroupFile(directory, 'cgroup.freeze')
      if (frozen === undefined && this.#tree.exists(group))
        throw new Error(`${directory} has no cgroup.freeze; the kernel must be Linux 5.2 or newer`)
      return frozen !== undefined && frozen.trim() === '0'
    })
    const directories = ours.map((group) => this.#tree.directory(group))
    writeRecord(this.#record, [...new Set([...before, ...directories])])
    for (const directory of directories) writeGroupFile(directory, 'cgroup.freeze', '1')
  }

  /** `over` says why not to wait any longer. */
  async #untilFrozen(
    groups: readonly string[],
    over: () => string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const thaws = this.#thaws
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      if (this.#thaws !== thaws) throw new Error('it was thawed meanwhile')
      // All at one look: a group that stood still a moment ago need not any more.
      const moving = groups.filter((group) => !this.#isFrozen(group))
      if (moving.length === 0) return
      const why = over()
      if (why !== undefined)
        throw new Error(`${why}: ${moving.map((group) => this.#describe(group)).join(', ')}`)
      // Given up or not, the next look says.
      await delay(pauseMs, undefined, signal && { signal }).catch(() => undefined)
    }
  }

  /** A group that is gone has nothing that moves. */
  #isFrozen(group: string): boolean {
    const events = readGroupFile(this.#tree.directory(group), 'cgroup.events')
    return events === undefined || /^frozen 1$/m.test(events)
  }

  #describe(group: string): string {
    const stuck = stuckProcess(this.#tree, group)
    return stuck === undefined ? `${group} still runs` : `in ${group}, ${stuck}`
  }
}
