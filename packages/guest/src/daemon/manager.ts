import type { NativeAddon } from 'snapsafe/native'
import type { LogStep, PageWriter, Running } from 'snapsafe/protocol'
import type { OrchestratorEffect, OrchestratorEvent } from '../orchestrator/events.ts'
import { stepOf } from '../orchestrator/log.ts'
import { step } from '../orchestrator/machine.ts'
import { nextWakeUsec, type OrchestratorState } from '../orchestrator/state.ts'
import type { DeadlinePolicy, WatcherRecord } from '../orchestrator/watcher-table.ts'
import { type MergeState, merge } from '../sources/merge.ts'
import type { SourceEvidence, SourceMemory } from '../sources/source.ts'
import type { KernelRandomDoor } from '../system/kernel-random.ts'
import { Audience } from './audience.ts'
import type { Log } from './log.ts'
import { printable } from './printable.ts'
import type { Saved, StateStore, StoreRecord } from './store.ts'
import { isTelling } from './untold.ts'

/** setTimeout takes no more. */
const maxTimerMs = 2 ** 31 - 1
const maxWhyChars = 1000

export interface ManagerOptions {
  readonly addon: NativeAddon
  readonly page: PageWriter
  readonly kernelRandom: KernelRandomDoor
  readonly memory: { wipe(): { readonly regions: number; readonly failures: readonly Error[] } }
  readonly freezer: {
    freeze(options: {
      callerPid: number
      signal: AbortSignal
    }): Promise<{ readonly frozen: readonly string[]; readonly running: readonly Running[] }>
    thaw(): void
  }
  /** Restarts or kills the process of a watcher; rejects with why it cannot. */
  readonly enforce: (
    watcher: WatcherRecord,
    policy: Extract<DeadlinePolicy, 'restart' | 'kill'>,
  ) => Promise<void>
  readonly log: Log
  readonly store: StateStore
  readonly saved: Saved
  /** Names of the sources, for merging what they say. */
  readonly sources: readonly string[]
  /** Called when a restore cannot be made a generation: only another daemon can help, which finds it on record. */
  readonly fatal: (error: Error) => void
  /** Called once for each generation, when it is ready. */
  readonly record: (state: OrchestratorState) => void
}

/** What belongs to a sign of a restore. */
export interface ReportOptions {
  readonly reason?: string
  readonly minimum?: number
  readonly restoreId?: string
  /** What the source wants to remember once the sign is on record. */
  readonly memory?: SourceMemory
}

/** Owns the state of the daemon: puts what happens on record, asks the state machine, and does what it says, in its order. */
export class Manager {
  /** Who is told of what. */
  readonly audience = new Audience()
  readonly #options: ManagerOptions
  readonly #memories: Map<string, SourceMemory>
  readonly #waiting: StoreRecord[] = []
  #state: OrchestratorState
  #credits: MergeState
  #dispatching = false
  #closed = false
  #timer: NodeJS.Timeout | undefined
  #freezing: AbortController | undefined

  constructor(options: ManagerOptions) {
    this.#options = options
    this.#state = options.saved.state
    this.#memories = new Map(options.saved.memories)
    this.#credits = options.saved.credits
    options.store.write(options.saved)
    options.page.publish(pageFields(this.#state))
    this.#rearm()
  }

  get state(): OrchestratorState {
    return this.#state
  }

  get isClosed(): boolean {
    return this.#closed
  }

  /** What each source last saw. */
  get memories(): ReadonlyMap<string, SourceMemory> {
    return this.#memories
  }

  nowUsec(): number {
    return Number(this.#options.addon.bootTimeNs() / 1000n)
  }

  /** Takes a sign of a restore: declares the restore, unless another source has told of it already. */
  report(evidence: SourceEvidence, options: ReportOptions = {}): void {
    if (this.#closed) return
    const { memory, ...about } = options
    const { source, detail, cause, kernelReseeded } = evidence
    const nowUsec = this.nowUsec()
    const { state: credits, verdict } = merge(this.#credits, evidence, this.#options.sources, nowUsec)
    this.#options.log.info(`${source}: ${detail} (${verdict})`)
    const sign = { source, detail, atUsec: nowUsec }
    const { restoreId } = about
    const event: OrchestratorEvent =
      verdict === 'absorbed'
        ? { type: 'evidence', nowUsec, evidence: sign, ...(restoreId !== undefined && { restoreId }) }
        : { type: 'restore', nowUsec, cause, kernelReseeded, evidence: sign, ...about }
    this.#take({ event, credits: [...credits], ...(memory && { memory: { source, memory } }) })
  }

  /** Keeps what a source wants to know when the daemon starts again. */
  remember(source: string, memory: SourceMemory): void {
    this.#take({ memory: { source, memory } })
  }

  /** Hands an event to the state machine. Events that come while one is being handled wait for their turn. */
  dispatch(event: OrchestratorEvent): void {
    this.#take({ event })
  }

  /** Nothing changes any more, neither the state nor the page; the next daemon goes on from here. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#freezing?.abort(new Error('the daemon ends'))
    this.audience.close()
    this.#options.store.close()
  }

  #take(record: StoreRecord): void {
    if (this.#closed) return
    this.#waiting.push(record)
    if (this.#dispatching) return
    this.#dispatching = true
    try {
      for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) this.#play(next)
    } finally {
      this.#dispatching = false
    }
  }

  #play(record: StoreRecord): void {
    // First on record, then done: a daemon that is killed in between is followed by one that does it.
    this.#options.store.append(record)
    const { memory, credits, event } = record
    if (memory) this.#memories.set(memory.source, memory.memory)
    if (credits) this.#credits = new Map(credits)
    const before = this.#state
    const [state, effects] = event ? step(before, event) : [before, []]
    this.#state = state
    const done: LogStep[] = []
    for (const effect of effects) {
      this.#do(effect)
      const name = stepOf(effect, before, state)
      if (name !== undefined) done.push({ step: name, atUsec: this.nowUsec() })
    }
    if (effects.some(isTelling)) this.#options.store.append({})
    this.#options.store.tidy(() => this.#saved())
    if (state.log !== before.log) this.audience.logged()
    const entry = state.log.at(-1)?.entry
    if (entry !== undefined && done.length > 0) {
      this.#play({ event: { type: 'done', nowUsec: this.nowUsec(), entry, steps: done } })
    }
  }

  #do(effect: OrchestratorEffect): void {
    const { page, freezer } = this.#options
    switch (effect.type) {
      case 'wipe-memory':
        this.#wipeMemory()
        return
      case 'make-kernel-unique':
        this.#makeKernelUnique(effect.attempt, effect.kernelReseeded).catch(this.#options.fatal)
        return
      case 'publish':
        page.publish(pageFields(this.#state))
        if (effect.change === 'counts') this.audience.announce({ type: 'counts' })
        return
      case 'freeze':
        void this.#freeze(effect.quiesce, effect.callerPid)
        return
      case 'thaw':
        this.#freezing?.abort(new Error('the planned snapshot is over'))
        freezer.thaw()
        return
      case 'ask':
        this.audience.ask(effect.id)
        return
      case 'tell':
        this.audience.tell(effect.stage)
        return
      case 'announce':
        this.#announce(effect.event)
        return
      case 'quiesce-ended':
        this.audience.announce(effect)
        return
      case 'enforce':
        void this.#enforce(effect.id, effect.policy)
        return
      case 'rearm':
        this.#rearm()
        return
      default:
        effect satisfies never
    }
  }

  #wipeMemory(): void {
    const { regions, failures } = this.#options.memory.wipe()
    if (regions > 0) this.#options.log.info(`wiped ${regions} regions of protected memory`)
    for (const failure of failures) this.#options.log.error(failure.message)
  }

  async #makeKernelUnique(attempt: number, kernelReseeded: boolean): Promise<void> {
    const { kernelRandom: door, log, addon } = this.#options
    // With bytes of the host for this copy, what the kernel has done by itself is not all that can be done.
    const made =
      kernelReseeded && !door.hasSeed
        ? { kernelRandom: 'kernel' as const, detail: 'the kernel reseeded itself' }
        : await door.makeUnique()
    // Nobody is told any more, and what is needed for it is being closed.
    if (this.#closed) return
    const bad = made.kernelRandom === 'unproven' || made.kernelRandom === 'failed'
    log[bad ? 'error' : 'info'](`kernel random generator: ${made.detail}`)
    addon.reseedOpenSSL()
    const { kernelRandom } = made
    const generationId = door.drawId()
    this.dispatch({ type: 'kernel-unique', nowUsec: this.nowUsec(), attempt, kernelRandom, generationId })
  }

  async #freeze(quiesce: number, callerPid: number): Promise<void> {
    const { freezer, log } = this.#options
    const ended = new AbortController()
    this.#freezing = ended
    try {
      const { frozen, running: named } = await freezer.freeze({ callerPid, signal: ended.signal })
      // Names of processes are in it, and those may be anything.
      const running = named.map(({ group, why }) => ({ group, why: printable(why, maxWhyChars) }))
      for (const { group, why } of running) log.warning(`not frozen: ${group}: ${why}`)
      log.info(`frozen: ${frozen.join(', ') || 'nothing'}`)
      this.dispatch({ type: 'frozen', nowUsec: this.nowUsec(), quiesce, frozen, running })
    } catch (error) {
      const detail = printable((error as Error).message, maxWhyChars)
      this.dispatch({ type: 'not-frozen', nowUsec: this.nowUsec(), quiesce, detail })
    }
  }

  async #enforce(id: string, policy: Extract<DeadlinePolicy, 'restart' | 'kill'>): Promise<void> {
    const { enforce, log } = this.#options
    const watcher = this.#state.watchers.get(id)
    if (!watcher) return
    const who = `${watcher.name} (pid ${watcher.owner.pid})`
    log.warning(`${who} has not adjusted: ${policy}`)
    try {
      await enforce(watcher, policy)
    } catch (error) {
      const detail = (error as Error).message
      log.error(`cannot ${policy} ${who}: ${detail}`)
      this.dispatch({ type: 'not-enforced', nowUsec: this.nowUsec(), id, detail })
    }
  }

  #announce(event: 'generation' | 'quiesce' | 'ready' | 'resumed'): void {
    const { log, record } = this.#options
    log.info(describe(event, this.#state))
    if (event === 'ready') record(this.#state)
    this.audience.announce({ type: event })
  }

  #saved(): Saved {
    return { state: this.#state, memories: this.#memories, credits: this.#credits }
  }

  #rearm(): void {
    clearTimeout(this.#timer)
    const wakeUsec = nextWakeUsec(this.#state)
    if (wakeUsec === undefined) return
    const ms = Math.min(maxTimerMs, Math.max(1, Math.ceil((wakeUsec - this.nowUsec()) / 1000)))
    this.#timer = setTimeout(() => this.dispatch({ type: 'time', nowUsec: this.nowUsec() }), ms)
  }
}

function describe(event: 'generation' | 'quiesce' | 'ready' | 'resumed', state: OrchestratorState): string {
  const { generation, generationId, cause, watchers, phase } = state
  switch (event) {
    case 'generation':
      return `generation ${generation} (${generationId}, ${cause}), ${watchers.pending} watchers to wait for`
    case 'ready':
      return watchers.outdated > 0
        ? `ready, degraded: ${watchers.outdated} of ${watchers.tracked} watchers have not adjusted`
        : `ready: ${watchers.tracked} watchers have adjusted`
    case 'quiesce':
      return phase === 'quiesced' ? 'quiesced: the snapshot can be taken' : 'a snapshot is planned'
    case 'resumed':
      return `the planned snapshot is over: ${state.log.at(-1)?.detail ?? 'there was no restore'}`
    default:
      return event satisfies never
  }
}

function pageFields(state: OrchestratorState): Parameters<PageWriter['publish']>[0] {
  return {
    generation: state.generation,
    id: state.generationId,
    phase: state.phase,
    changedAtNs: BigInt(state.changedAtUsec) * 1000n,
    tracked: state.watchers.tracked,
    outdated: state.watchers.outdated,
  }
}
