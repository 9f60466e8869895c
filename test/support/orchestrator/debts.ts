import assert from 'node:assert/strict'
import type { OrchestratorEvent } from '../../../packages/guest/src/orchestrator/events.ts'
import type { OrchestratorState } from '../../../packages/guest/src/orchestrator/state.ts'

const stages = ['identity', 'network', 'application']
const enforcementUsec = 10_000_000

type Event<T extends OrchestratorEvent['type']> = Extract<OrchestratorEvent, { type: T }>

/** What the model knows of a watcher. none: it owes nothing. held: late or failed, and waited for all the same. */
export interface Debtor extends Omit<Event<'watcher-joined'>, 'type' | 'nowUsec'> {
  debt: 'none' | 'pending' | 'held' | 'given-up'
  dueAt?: number | undefined
  absentUntil?: number | undefined
  /** The last planned snapshot that it was asked about. */
  askedFor?: number
}

/** The model's books of who owes a confirmation, and until when it is waited for. */
export class Debts {
  readonly all = new Map<string, Debtor>()
  /** Whom this event has made somebody to be restarted or killed. */
  enforced: string[] = []
  readonly #limits: OrchestratorState['limits']
  /** How far watchers have been told, and since when. */
  #toldUpTo: number
  #toldAt: number

  constructor({ limits, phase, changedAtUsec }: OrchestratorState) {
    this.#limits = limits
    this.#toldUpTo = phase === 'adjusting' ? stages.length - 1 : -1
    this.#toldAt = changedAtUsec
  }

  get waitedFor(): Debtor[] {
    return [...this.all.values()].filter(({ debt }) => debt === 'pending' || debt === 'held')
  }

  get missed(): Debtor[] {
    return [...this.all.values()].filter(({ debt }) => debt === 'given-up')
  }

  get allAreTold(): boolean {
    return this.#toldUpTo === stages.length - 1
  }

  /** A new generation. */
  begin(): void {
    this.#toldUpTo = -1
    for (const watcher of this.all.values()) {
      watcher.debt = watcher.tracked ? 'pending' : 'none'
      watcher.dueAt = undefined
    }
  }

  tell(stage: string, nowUsec: number): void {
    const index = stages.indexOf(stage)
    assert.equal(index, this.#toldUpTo + 1, 'stages in their order')
    for (const watcher of this.waitedFor) {
      const own = stages.indexOf(watcher.stage)
      assert.ok(own >= index, `nobody is told of ${stage} while ${watcher.id} is waited for`)
      if (own === index && watcher.dueAt === undefined && watcher.debt === 'pending')
        watcher.dueAt = nowUsec + watcher.deadlineMs * 1000
    }
    this.#toldUpTo = index
    this.#toldAt = nowUsec
  }

  join(event: Event<'watcher-joined'>, generation: number, isAdjusting: boolean): void {
    const { type: _, nowUsec, ...declared } = event
    const before = this.#absent(event)
    if (before) this.all.delete(before.id)
    const watcher: Debtor = { ...declared, debt: 'none' }
    this.all.set(event.id, watcher)
    if (!event.tracked || event.adjustedTo === generation) return
    watcher.debt = 'pending'
    if (before?.debt === 'held' || before?.debt === 'given-up') {
      watcher.debt = before.debt
      watcher.dueAt = before.dueAt
    } else if (!isAdjusting || stages.indexOf(event.stage) <= this.#toldUpTo) {
      const own = nowUsec + event.deadlineMs * 1000
      const shared = Math.max(nowUsec, this.#toldAt + this.#limits.maxDeadlineMs * 1000)
      watcher.dueAt = before?.dueAt ?? (isAdjusting ? Math.min(own, shared) : own)
    }
  }

  leave({ id, mayReturn, nowUsec }: Event<'watcher-left'>): void {
    const watcher = this.waitedFor.find((one) => one.id === id)
    if (mayReturn && watcher) watcher.absentUntil = nowUsec + this.#limits.graceMs * 1000
    else this.all.delete(id)
  }

  confirm({ id, failure, nowUsec }: Event<'confirmed'>): void {
    const watcher = this.all.get(id)
    if (!watcher) return
    if (failure === undefined) {
      watcher.debt = 'none'
      watcher.dueAt = undefined
    } else if (watcher.tracked && (watcher.debt === 'none' || watcher.debt === 'pending'))
      this.#miss(watcher, nowUsec)
  }

  giveUpOn(id: string): void {
    const watcher = this.all.get(id)
    if (watcher?.debt !== 'held') return
    watcher.debt = 'given-up'
    watcher.dueAt = undefined
  }

  restart({ dead, nowUsec }: Event<'restarted'>): void {
    for (const watcher of this.all.values()) {
      if (dead.includes(watcher.id) || !watcher.tracked) this.all.delete(watcher.id)
      else watcher.absentUntil = nowUsec + this.#limits.graceMs * 1000
    }
    this.spare(nowUsec)
  }

  /** Nobody could confirm until now. */
  spare(nowUsec: number): void {
    const until = nowUsec + this.#limits.graceMs * 1000
    for (const watcher of this.all.values()) {
      if (watcher.dueAt === undefined) continue
      watcher.dueAt = Math.max(watcher.dueAt, until)
    }
  }

  /** With a restore pending, and while the workload stands still, no deadline passes. */
  pass(nowUsec: number, isHeld: boolean): void {
    for (const watcher of this.all.values()) {
      const { absentUntil, dueAt, debt } = watcher
      if (absentUntil !== undefined && absentUntil <= nowUsec) this.all.delete(watcher.id)
      else if (isHeld || dueAt === undefined || dueAt > nowUsec) continue
      else if (debt === 'held') this.giveUpOn(watcher.id)
      else this.#miss(watcher, nowUsec)
    }
  }

  check({ watchers }: OrchestratorState): void {
    for (const watcher of watchers) {
      const { id, owing } = watcher
      const known = this.all.get(id)
      assert.ok(known, `4: ${id} owes nothing any more`)
      const { debt, dueAt, absentUntil } = known
      assert.equal(owing === 'no', debt === 'none', `4: whether ${id} owes`)
      assert.equal(owing === 'pending', debt === 'pending', `whether the time of ${id} has passed`)
      assert.equal(watcher.held ?? false, debt === 'held', `whether ${id} holds up ready`)
      assert.equal(watcher.dueAtUsec, dueAt, `when ${id} is due`)
      assert.equal(watcher.absentUntilUsec, absentUntil, `until when ${id} may come back`)
      assert.equal(watcher.sinceUsec === undefined, debt === 'none', `since when ${id} owes`)
    }
    const all = [...this.all.values()]
    assert.equal(watchers.size, all.length, '4: nobody is lost')
    assert.equal(watchers.tracked, all.filter(({ tracked }) => tracked).length, 'tracked')
    assert.equal(watchers.outdated, all.filter(({ debt }) => debt !== 'none').length, 'outdated')
    assert.equal(watchers.pending, all.filter(({ debt }) => debt === 'pending').length, 'pending')
    assert.equal(watchers.absent, all.filter(({ absentUntil }) => absentUntil !== undefined).length, 'absent')
  }

  #absent({ name, owner }: Event<'watcher-joined'>): Debtor | undefined {
    return [...this.all.values()].find(
      (one) =>
        one.absentUntil !== undefined && one.name === name && one.owner.startTicks === owner.startTicks,
    )
  }

  #miss(watcher: Debtor, nowUsec: number): void {
    const isEnforced = watcher.policy === 'restart' || watcher.policy === 'kill'
    watcher.debt = watcher.policy === 'report' ? 'given-up' : 'held'
    watcher.dueAt = isEnforced ? nowUsec + enforcementUsec : undefined
    if (isEnforced) this.enforced.push(watcher.id)
  }
}
