import { CgroupFreezer } from '../system/cgroup/cgroup-freezer.ts'
import { findCgroup2 } from '../system/cgroup/cgroup-mount.ts'
import { CgroupTree } from '../system/cgroup/cgroup-tree.ts'
import { FreezeError } from '../system/cgroup/freeze-error.ts'
import { type GroupReason, planFreeze } from '../system/cgroup/freeze-plan.ts'
import { rootGroup } from '../system/cgroup/group-path.ts'
import { thawRecorded } from '../system/cgroup/thaw-recorded.ts'
import { isBootedWithSystemd } from '../system/systemd.ts'
import type { FreezeConfig } from './freeze-config.ts'
import { alwaysRunning, runningWithSystemd } from './freeze-exempt.ts'
import { type Frozen, freezeInRounds } from './freeze-rounds.ts'
import type { Log } from './log.ts'
import { rootGroupProcesses } from './root-group-processes.ts'

export interface FreezeOptions {
  readonly config: FreezeConfig
  /** The file that says what may be frozen. */
  readonly record: string
  /** Whether this is the system's own daemon, which freezes unless it is told not to. */
  readonly isSystem: boolean
  readonly log: Log
  /** Where cgroup v2 is mounted; for a test, the directory of a group of its own. */
  readonly root?: string | undefined
  /** Whether systemd runs the system. */
  readonly systemd?: boolean
}

interface FreezeRequest {
  /** Whose group of processes has to take the answer, and runs on. */
  readonly callerPid?: number
  readonly signal?: AbortSignal
}

/** What the configuration wants to stand still while a snapshot is taken. */
export class Freeze {
  readonly enabled: boolean
  readonly #config: FreezeConfig
  readonly #log: Log
  readonly #systemd: boolean
  readonly #record: string
  #previous: Promise<unknown> = Promise.resolve()
  /** Undefined where cgroup v2 is not mounted. */
  readonly #cgroup2: { readonly tree: CgroupTree; readonly freezer: CgroupFreezer } | undefined

  constructor({ config, record, isSystem, log, root = findCgroup2(), systemd }: FreezeOptions) {
    const { mode, groups } = config
    this.enabled = mode === 'on' || (mode === 'auto' && (isSystem || groups.length > 0))
    this.#config = config
    this.#log = log
    this.#systemd = systemd ?? isBootedWithSystemd()
    this.#record = record
    if (root !== undefined)
      this.#cgroup2 = { tree: new CgroupTree(root), freezer: new CgroupFreezer({ root, record }) }
  }

  /** Whether a planned snapshot can freeze something here. */
  get possible(): boolean {
    return this.#outlook().possible
  }

  /** What a planned snapshot freezes here, or why it cannot, in words. */
  describe(): string {
    return this.#outlook().detail
  }

  /**
   * Freezes all that the configuration wants, but this process, the caller, and what the system needs to go on. Resolves when
   * it stands still; with empty lists where freezing is off. Rejects with a FreezeError where it cannot be, where there would
   * be nothing to freeze, or where the signal aborts; all that was frozen runs again then.
   */
  freeze(options: FreezeRequest = {}): Promise<Frozen> {
    // One after another: what undoes one must not thaw the next.
    const frozen = this.#previous.then(() => this.#freezeNow(options))
    this.#previous = frozen.catch(() => undefined)
    return frozen
  }

  async #freezeNow({ callerPid, signal }: FreezeRequest): Promise<Frozen> {
    if (!this.enabled) return { frozen: [], running: [] }
    const { groups, tree, freezer } = this.#prepared()
    const end = performance.now() + this.#config.timeout
    try {
      const { frozen, running } = await freezeInRounds(
        () => planFreeze(tree, groups, this.#exempt(tree, callerPid)),
        (fresh) =>
          freezer.freeze(fresh, { timeoutMs: Math.max(0, Math.ceil(end - performance.now())), signal }),
      )
      const atRoot = groups.includes(rootGroup) ? rootGroupProcesses(tree) : undefined
      return { frozen, running: atRoot === undefined ? running : [...running, atRoot] }
    } catch (error) {
      this.thaw()
      if (error instanceof FreezeError) throw error
      throw new FreezeError(`cannot freeze: ${(error as Error).message}`, { cause: error })
    }
  }

  /** Thaws all that this daemon, or one before it, has frozen; at once. What cannot be thawed is in the log. */
  thaw(): void {
    for (const problem of this.#cgroup2?.freezer.thaw() ?? thawRecorded(this.#record))
      this.#log.error(problem)
  }

  #outlook(): { possible: boolean; detail: string } {
    if (!this.enabled) return { possible: false, detail: 'a planned snapshot freezes nothing' }
    try {
      const { groups } = this.#prepared()
      const except = this.#config.except.length > 0 ? ` but ${this.#config.except.join(', ')}` : ''
      const what = groups.includes(rootGroup) ? 'everything that can be' : groups.join(', ')
      return { possible: true, detail: `a planned snapshot freezes ${what}${except}` }
    } catch (error) {
      return { possible: false, detail: `a planned snapshot cannot freeze: ${(error as Error).message}` }
    }
  }

  #prepared(): { tree: CgroupTree; freezer: CgroupFreezer; groups: readonly string[] } {
    if (this.#cgroup2 === undefined)
      throw new FreezeError('cgroup v2 is not mounted; mount it, or set mode = "off" in [freeze]')
    if (this.#config.groups.length > 0) return { ...this.#cgroup2, groups: this.#config.groups }
    if (this.#systemd) return { ...this.#cgroup2, groups: [rootGroup] }
    throw new FreezeError(
      'systemd does not run this system, so it is not known what to freeze; name groups in [freeze], or set mode = "off"',
    )
  }

  #exempt(tree: CgroupTree, callerPid: number | undefined): GroupReason[] {
    const processes = [
      { group: tree.groupOf('self'), why: 'snapsafed runs in it' },
      {
        group: callerPid === undefined ? undefined : tree.groupOf(callerPid),
        why: 'the caller of Quiesce runs in it and has to take the answer',
      },
    ]
    const configured = this.#config.except.map((group) => ({
      group,
      why: 'the configuration says so (except)',
    }))
    const inGroups = processes.filter(
      // Who is in the root group is not frozen anyway, and all the others are below it.
      (entry): entry is GroupReason => entry.group !== undefined && entry.group !== rootGroup,
    )
    return [...inGroups, ...configured, ...alwaysRunning, ...(this.#systemd ? runningWithSystemd : [])]
  }
}
