import type { LogStep, PageWriter } from 'snapsafe/protocol'
import type { OrchestratorEffect, OrchestratorEvent } from '../orchestrator/events.ts'
import { stepOf } from '../orchestrator/log.ts'
import { step } from '../orchestrator/machine.ts'
import { nextWakeUsec, type OrchestratorState } from '../orchestrator/state.ts'
import { type MergeState, merge } from '../sources/merge.ts'
import type { SourceEvidence, SourceMemory } from '../sources/source.ts'
import { Audience } from './audience.ts'
import { describeChange } from './describe-change.ts'
import { type EffectDoors, Effects } from './effects.ts'
import type { Saved, StateStore, StoreRecord } from './store.ts'
import { isTelling } from './untold.ts'

/** setTimeout takes no more. */
const maxTimerMs = 2 ** 31 - 1

export interface ManagerOptions extends EffectDoors {
  readonly page: PageWriter
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
  readonly #effects: Effects
  readonly #memories: Map<string, SourceMemory>
  readonly #waiting: StoreRecord[] = []
  #state: OrchestratorState
  #credits: MergeState
  #dispatching = false
  #closed = false
  #timer: NodeJS.Timeout | undefined

  constructor(options: ManagerOptions) {
    this.#options = options
    this.#effects = new Effects({
      ...options,
      dispatch: (event) => this.dispatch(event),
      nowUsec: () => this.nowUsec(),
      isClosed: () => this.#closed,
    })
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
    this.#effects.giveUpFreezing('the daemon ends')
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
    const { page, fatal } = this.#options
    switch (effect.type) {
      case 'wipe-memory':
        this.#effects.wipeMemory()
        return
      case 'make-kernel-unique':
        this.#effects.makeKernelUnique(effect.attempt, effect.kernelReseeded).catch(fatal)
        return
      case 'publish':
        page.publish(pageFields(this.#state))
        if (effect.change === 'counts') this.audience.announce({ type: 'counts' })
        return
      case 'freeze':
        void this.#effects.freeze(effect.quiesce, effect.callerPid)
        return
      case 'thaw':
        this.#effects.thaw()
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
        this.#enforce(effect)
        return
      case 'rearm':
        this.#rearm()
        return
      default:
        effect satisfies never
    }
  }

  #enforce({ id, policy }: Extract<OrchestratorEffect, { type: 'enforce' }>): void {
    const watcher = this.#state.watchers.get(id)
    if (watcher) void this.#effects.enforce(watcher, policy)
  }

  #announce(event: 'generation' | 'quiesce' | 'ready' | 'resumed'): void {
    const { log, record } = this.#options
    log.info(describeChange(event, this.#state))
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
