import type {
  OrchestratorEffect,
  OrchestratorEvent,
} from '../../../packages/guest/src/orchestrator/events.ts'
import { stepOf } from '../../../packages/guest/src/orchestrator/log.ts'
import { step } from '../../../packages/guest/src/orchestrator/machine.ts'
import type { OrchestratorState } from '../../../packages/guest/src/orchestrator/state.ts'
import type { WatcherRecord } from '../../../packages/guest/src/orchestrator/watcher-table.ts'
import { initial, restored, store } from './stored.ts'

type Timeless<T> = T extends unknown ? Omit<T, 'nowUsec'> : never
type EventNow = Timeless<OrchestratorEvent>
type Joined = Extract<OrchestratorEvent, { type: 'watcher-joined' }>
type Effect<T extends OrchestratorEffect['type']> = Extract<OrchestratorEffect, { type: T }>

/** A second, in the unit of the machine. */
export const second = 1_000_000
export const owner = { pid: 100, uid: 1000, startTicks: 7 }
/** Who plans a snapshot. */
export const callerPid = 200
export const evidence = { source: 'kmsg', detail: 'seen', atUsec: second }

/** Plays events against the machine, one line each, and remembers what it wanted done about the last of them. */
export class Play {
  state: OrchestratorState
  effects: readonly OrchestratorEffect[] = []
  nowUsec = second

  constructor(change: Partial<OrchestratorState> = {}) {
    this.state = initial(change)
  }

  do(event: EventNow): this {
    const { nowUsec, state: before } = this
    const [state, effects] = step(before, { ...event, nowUsec } as OrchestratorEvent)
    this.state = state
    this.effects = effects
    // Whoever carries them out says so.
    const steps = effects.flatMap((effect) => stepOf(effect, before, state) ?? [])
    const done = steps.map((name) => ({ step: name, atUsec: nowUsec }))
    const entry = state.log.at(-1)?.entry ?? 0
    if (done.length > 0) [this.state] = step(state, { type: 'done', nowUsec, entry, steps: done })
    return this
  }

  /** A tracked watcher that has adjusted to the current generation, unless told otherwise. */
  join(id: string, options: Partial<Joined> = {}): this {
    return this.do({
      type: 'watcher-joined',
      id,
      name: `w${id}`,
      owner,
      tracked: true,
      stage: 'application',
      deadlineMs: 10_000,
      policy: 'report',
      beforeSnapshot: false,
      registeredAtUsec: this.nowUsec,
      adjustedTo: this.state.generation,
      ...options,
    })
  }

  leave(id: string, mayReturn = false): this {
    return this.do({ type: 'watcher-left', id, mayReturn })
  }

  confirm(id: string, failure?: string): this {
    const { generation } = this.state
    return this.do({ type: 'confirmed', id, generation, ...(failure !== undefined && { failure }) })
  }

  restore(change: { minimum?: number; kernelReseeded?: boolean; restoreId?: string } = {}): this {
    return this.do({ type: 'restore', cause: 'clone', evidence, kernelReseeded: true, ...change })
  }

  /** Answers the last `make-kernel-unique`. */
  unique(
    attempt = this.state.attempts,
    kernelRandom: Extract<OrchestratorEvent, { type: 'kernel-unique' }>['kernelRandom'] = 'kernel',
  ): this {
    return this.do({ type: 'kernel-unique', attempt, kernelRandom, generationId: `id-${attempt}` })
  }

  /** A restore whose kernel was unique at once. */
  restored(): this {
    return this.restore().unique()
  }

  quiesce(
    change: { deadlineMs?: number; thawAfterMs?: number; force?: boolean; reason?: string } = {},
  ): this {
    return this.do({
      type: 'quiesce',
      deadlineMs: 5000,
      thawAfterMs: 60_000,
      force: false,
      callerPid,
      ...change,
    })
  }

  prepared(id: string, veto?: string): this {
    const quiesce = this.state.quiesces
    return this.do({ type: 'prepared', id, quiesce, ...(veto !== undefined && { veto }) })
  }

  /** Answers `freeze`. */
  frozen(quiesce = this.state.quiesces): this {
    return this.do({ type: 'frozen', quiesce, frozen: ['/app'], running: [] })
  }

  resume(): this {
    return this.do({ type: 'resume', outcome: 'resumed', detail: 'no sign of a restore' })
  }

  release(detail = 'the daemon ends'): this {
    return this.do({ type: 'release', detail })
  }

  wait(forMs: number): this {
    this.nowUsec += forMs * 1000
    return this.do({ type: 'time' })
  }

  /** Another daemon, from what this one has left on record. */
  restarted(...dead: string[]): this {
    this.state = restored(store(this.state))
    return this.do({ type: 'restarted', connected: [], dead })
  }

  get types(): string[] {
    return this.effects.map(({ type }) => type)
  }

  get announced(): string[] {
    return this.all('announce').map(({ event }) => event)
  }

  get told(): string[] {
    return this.all('tell').map(({ stage }) => stage)
  }

  get asked(): string[] {
    return this.all('ask').map(({ id }) => id)
  }

  /** How the planned snapshot ended. */
  get ended(): Effect<'quiesce-ended'>['outcome'] | undefined {
    return this.all('quiesce-ended')[0]?.outcome
  }

  get entry(): OrchestratorState['log'][number] | undefined {
    return this.state.log.at(-1)
  }

  get steps(): string[] {
    return this.entry?.steps.map(({ step }) => step) ?? []
  }

  get answers(): string[] {
    return this.entry?.answers.map(({ name, answer }) => `${name} ${answer}`) ?? []
  }

  watcher(id: string): WatcherRecord | undefined {
    return this.state.watchers.get(id)
  }

  all<T extends OrchestratorEffect['type']>(type: T): Effect<T>[] {
    return this.effects.filter((effect): effect is Effect<T> => effect.type === type)
  }
}
