import type { NativeAddon } from 'snapsafe/native'
import type { PageWriter } from 'snapsafe/protocol'
import type { OrchestratorEffect, OrchestratorEvent } from '../orchestrator/events.ts'
import { step } from '../orchestrator/machine.ts'
import { nextWakeUsec, type OrchestratorState } from '../orchestrator/state.ts'
import { type MergeState, merge } from '../sources/merge.ts'
import type { SourceEvidence, SourceMemory } from '../sources/source.ts'
import type { KernelRandomDoor } from '../system/kernel-random.ts'
import type { Log } from './log.ts'

/** What subscribers are told; `counts` is progress on the way to ready. */
export type Change = 'generation' | 'ready' | 'counts'

/** setTimeout takes no more. */
const maxTimerMs = 2 ** 31 - 1

export interface ManagerOptions {
  readonly addon: NativeAddon
  readonly page: PageWriter
  readonly kernelRandom: KernelRandomDoor
  readonly log: Log
  readonly state: OrchestratorState
  /** Names of the sources, for merging what they say. */
  readonly sources: readonly string[]
  readonly memories: ReadonlyMap<string, SourceMemory>
  /** Called when what the next daemon must know has changed. */
  readonly save: (state: OrchestratorState, memories: ReadonlyMap<string, SourceMemory>) => void
  /** Called when a restore cannot be made a generation: only another daemon can help, which finds it again. */
  readonly fatal: (error: Error) => void
  /** Called once for each generation, when it is ready. */
  readonly record: (state: OrchestratorState) => void
}

/** Owns the state of the daemon: takes what happens, asks the state machine, and does what it says, in its order. */
export class Manager {
  readonly #options: ManagerOptions
  readonly #memories: Map<string, SourceMemory>
  readonly #subscribers = new Set<(change: Change) => void>()
  readonly #events: OrchestratorEvent[] = []
  readonly #perUser = new Map<number, number>()
  #state: OrchestratorState
  #merge: MergeState = new Map()
  #dispatching = false
  #closed = false
  #timer: NodeJS.Timeout | undefined
  #lastId = 0

  constructor(options: ManagerOptions) {
    this.#options = options
    this.#state = options.state
    this.#memories = new Map(options.memories)
    // Not the counts: if this daemon dies before the watchers are back, the next one must know that there were some.
    const { tracked: _, outdated: __, ...fields } = pageFields(this.#state)
    options.page.publish(fields)
    this.#rearm()
  }

  get state(): OrchestratorState {
    return this.#state
  }

  nowUsec(): number {
    return Number(this.#options.addon.bootTimeNs() / 1000n)
  }

  /** An id for the next watcher. */
  nextWatcherId(): string {
    this.#lastId += 1
    return String(this.#lastId)
  }

  /** How many watchers a user has. */
  watchersOf(uid: number): number {
    return this.#perUser.get(uid) ?? 0
  }

  /** Be told of changes, after the page shows them, until the returned function is called. */
  subscribe(subscriber: (change: Change) => void): () => void {
    this.#subscribers.add(subscriber)
    return () => this.#subscribers.delete(subscriber)
  }

  /** Takes a sign of a restore: declares the restore, unless another source has told of it already. */
  report(evidence: SourceEvidence, options: { reason?: string; minimum?: number } = {}): void {
    const nowUsec = this.nowUsec()
    const merged = merge(this.#merge, evidence, this.#options.sources, nowUsec)
    this.#merge = merged.state
    const { source, detail, cause, kernelReseeded } = evidence
    this.#options.log.info(`${source}: ${detail} (${merged.verdict})`)
    if (merged.verdict === 'absorbed') {
      this.dispatch({ type: 'evidence', nowUsec, evidence: { source, detail } })
    } else {
      this.dispatch({
        type: 'restore',
        nowUsec,
        cause,
        kernelReseeded,
        evidence: { source, detail },
        ...options,
      })
    }
  }

  /** Keeps what a source wants to know when the daemon starts again. */
  remember(source: string, memory: SourceMemory): void {
    // What was reported with it has not become a generation.
    if (this.#closed) return
    this.#memories.set(source, memory)
    this.#save()
  }

  /** Hands an event to the state machine. Events that come while one is being handled wait for their turn. */
  dispatch(event: OrchestratorEvent): void {
    if (this.#closed) return
    this.#events.push(event)
    if (this.#dispatching) return
    this.#dispatching = true
    try {
      for (let next = this.#events.shift(); next; next = this.#events.shift()) {
        this.#count(next)
        const [state, effects] = step(this.#state, next)
        this.#state = state
        for (const effect of effects) this.#do(effect)
      }
    } finally {
      this.#dispatching = false
    }
  }

  /** Nothing changes any more, neither the state nor the page; the next daemon goes on from here. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#subscribers.clear()
  }

  #count(event: OrchestratorEvent): void {
    if (event.type !== 'watcher-joined' && event.type !== 'watcher-left') return
    const uid =
      event.type === 'watcher-joined' ? event.owner.uid : this.#state.watchers.get(event.id)?.owner.uid
    if (uid === undefined) return
    const count = this.watchersOf(uid) + (event.type === 'watcher-joined' ? 1 : -1)
    if (count > 0) this.#perUser.set(uid, count)
    else this.#perUser.delete(uid)
  }

  #do(effect: OrchestratorEffect): void {
    switch (effect.type) {
      case 'make-kernel-unique':
        this.#makeKernelUnique(effect.attempt, effect.kernelReseeded).catch(this.#options.fatal)
        return
      case 'publish':
        this.#options.page.publish(pageFields(this.#state))
        // Only now: a daemon that is killed before the page changed must find the restore again.
        if (effect.change === 'generation') this.#save()
        if (effect.change === 'counts') this.#tell('counts')
        return
      case 'announce':
        this.#announce(effect.event)
        return
      case 'rearm':
        this.#rearm()
        return
      default:
        effect satisfies never
    }
  }

  async #makeKernelUnique(attempt: number, kernelReseeded: boolean): Promise<void> {
    const { kernelRandom: door, log, addon } = this.#options
    const made = kernelReseeded
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

  #announce(event: 'generation' | 'ready'): void {
    const { log, record } = this.#options
    const { generation, generationId, cause, watchers } = this.#state
    if (event === 'generation') {
      log.info(
        `generation ${generation} (${generationId}, ${cause}), ${watchers.pending} watchers to wait for`,
      )
    } else {
      const missed = watchers.outdated
      if (missed > 0)
        log.warning(`ready, degraded: ${missed} of ${watchers.tracked} watchers have not adjusted`)
      else log.info(`ready: ${watchers.tracked} watchers have adjusted`)
      this.#save()
      record(this.#state)
    }
    this.#tell(event)
  }

  #save(): void {
    // While a restore waits for its generation, the sign of it must not be on record as seen.
    if (!this.#state.pending) this.#options.save(this.#state, this.#memories)
  }

  #tell(change: Change): void {
    for (const subscriber of this.#subscribers) subscriber(change)
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
