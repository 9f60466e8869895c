import assert from 'node:assert/strict'
import type {
  OrchestratorEffect,
  OrchestratorEvent,
} from '../../../packages/guest/src/orchestrator/events.ts'
import type { OrchestratorState } from '../../../packages/guest/src/orchestrator/state.ts'

const stages = ['identity', 'network', 'application']
const enforcementUsec = 10_000_000
const freezingUsec = 30_000_000

type Event<T extends OrchestratorEvent['type']> = Extract<OrchestratorEvent, { type: T }>

/** What the model knows of a watcher. none: it owes nothing. held: late or failed, and waited for all the same. */
interface Debtor extends Omit<Event<'watcher-joined'>, 'type' | 'nowUsec'> {
  debt: 'none' | 'pending' | 'held' | 'given-up'
  dueAt?: number | undefined
  absentUntil?: number | undefined
  askedFor?: number
}

interface Planned {
  readonly quiesce: number
  readonly force: boolean
  readonly thawAfterMs: number
  step: 'watchers' | 'freezing' | 'frozen'
  asking?: string | undefined
  endsAt: number
  /** The daemon that asked watchers is no more. */
  orphaned?: boolean
}

/**
 * What must be true of the machine, by bookkeeping of its own: who owes what, which restores were declared, and how far a
 * planned snapshot is. `expect` takes the event, `see` the effects that the machine wants, `check` the state it has come to.
 */
export class Model {
  generation: number
  phase: OrchestratorState['phase']
  watchers = new Map<string, Debtor>()
  pending: { restores: number; minimum: number } | undefined
  lastAttempt = 0
  snapshot: Planned | undefined
  quiesces = 0
  readonly #holdUntil: number
  readonly #limits: OrchestratorState['limits']
  /** How far watchers have been told, and since when. */
  #toldUpTo: number
  #toldAt: number
  /** What this event must bring about. */
  #must = { makeUnique: 0, ended: [] as string[], enforce: [] as string[], generation: false, thaw: false }

  constructor(state: OrchestratorState) {
    this.generation = state.generation
    this.phase = state.phase
    this.#holdUntil = state.holdUntilUsec
    this.#limits = state.limits
    this.#toldUpTo = state.phase === 'adjusting' ? 2 : -1
    this.#toldAt = state.changedAtUsec
  }

  isWaitedFor({ debt }: Debtor): boolean {
    return debt === 'pending' || debt === 'held'
  }

  /** Who may still be asked about the planned snapshot, the next first. */
  get unasked(): Debtor[] {
    return [...this.watchers.values()]
      .filter(
        ({ beforeSnapshot, askedFor, absentUntil }) =>
          beforeSnapshot && absentUntil === undefined && askedFor !== this.snapshot?.quiesce,
      )
      .sort((a, b) => b.registeredAtUsec - a.registeredAtUsec || Number(b.id) - Number(a.id))
  }

  expect(event: OrchestratorEvent): void {
    this.#must = { makeUnique: 0, ended: [], enforce: [], generation: false, thaw: false }
    const { nowUsec } = event
    switch (event.type) {
      case 'restore':
        this.#declare(event.minimum ?? 0)
        return
      case 'kernel-unique':
        this.#begin(event)
        return
      case 'watcher-joined':
        this.#join(event)
        return
      case 'watcher-left':
        this.#leave(event)
        return
      case 'confirmed':
        this.#confirm(event)
        return
      case 'not-enforced':
        this.#giveUpOn(event.id)
        return
      case 'quiesce':
        this.#quiesce(event)
        return
      case 'prepared':
        this.#prepared(event)
        return
      case 'frozen':
        this.#frozen(event)
        return
      case 'not-frozen':
        if (this.snapshot?.quiesce === event.quiesce) this.#undo('failed')
        else this.#must.thaw = this.#isLeftOver
        return
      case 'resume':
        this.#undo(event.outcome)
        return
      case 'release':
        this.#release()
        return
      case 'restarted':
        this.#restart(event)
        return
      case 'time':
        this.#pass(nowUsec)
        return
      case 'evidence':
        return
      default:
        event satisfies never
    }
  }

  /** Takes the effects in their order, and says where one of them is wrong. */
  see(effects: readonly OrchestratorEffect[], nowUsec: number, hasRestarted: boolean): void {
    const seen = { makeUnique: 0, ended: [] as string[], enforce: [] as string[] }
    let wiped = false
    let published = false
    for (const effect of effects) {
      switch (effect.type) {
        case 'wipe-memory':
          wiped = true
          break
        case 'make-kernel-unique':
          assert.ok(wiped, '1: memory is wiped before the kernel is made unique')
          assert.ok(effect.attempt > this.lastAttempt, '2: an attempt is never used twice')
          this.lastAttempt = effect.attempt
          seen.makeUnique += 1
          break
        case 'publish':
          published = true
          if (effect.change === 'generation')
            assert.ok(this.#must.generation || hasRestarted, '2: a generation needs a unique kernel')
          break
        case 'thaw':
          assert.equal(this.pending, undefined, 'frozen: nothing is thawed while a restore is pending')
          assert.notEqual(this.phase, 'quiesced', 'frozen: nothing is thawed while the phase is quiesced')
          if (this.#must.generation) assert.ok(published, 'frozen: the page changes before the thaw')
          this.#must.thaw = false
          this.#must.generation = false
          break
        case 'tell':
          assert.equal(this.pending, undefined, 'nobody is told while a restore is pending')
          assert.equal(this.#must.generation, false, 'frozen: the thaw comes before anybody is told')
          this.#tell(effect.stage, nowUsec)
          break
        case 'announce':
          if (effect.event === 'ready') this.#ready(nowUsec)
          break
        case 'ask':
          this.#ask(effect.id)
          break
        case 'freeze':
          assert.ok(wiped, 'memory is wiped before the freeze')
          this.#freeze(effect.quiesce, nowUsec)
          break
        case 'quiesce-ended':
          seen.ended.push(`${effect.quiesce} ${effect.outcome.how}`)
          break
        case 'enforce':
          seen.enforce.push(effect.id)
          break
        case 'rearm':
          break
        default:
          effect satisfies never
      }
    }
    assert.equal(seen.makeUnique, this.#must.makeUnique, 'requests to make the kernel unique')
    assert.deepEqual(seen.ended, this.#must.ended, 'planned snapshots that ended')
    assert.deepEqual(seen.enforce.sort(), this.#must.enforce.sort(), 'watchers to restart or kill')
    assert.equal(this.#must.generation, false, '2: the new generation is published')
    assert.equal(this.#must.thaw, false, 'frozen: what may be frozen is thawed')
  }

  check(state: OrchestratorState, nowUsec: number, wasTime: boolean): void {
    assert.equal(state.generation, this.generation, '2: the generation counts the restores')
    assert.equal(state.phase, this.phase, 'phase')
    assert.equal(state.pending?.restores, this.pending?.restores, '4: pending restores')
    assert.equal(state.snapshot?.step, this.snapshot?.step, 'planned snapshot')
    assert.equal(state.snapshot?.asking, this.snapshot?.asking, 'who is asked')
    for (const watcher of state.watchers) {
      const known = this.watchers.get(watcher.id)
      assert.ok(known, `4: watcher ${watcher.id} owes nothing any more`)
      const { debt, dueAt, absentUntil } = known
      const held = debt === 'held'
      const owing = debt === 'none' || debt === 'pending' ? watcher.owing : 'missed'
      const isOwing = debt === 'none' ? 'no' : debt === 'pending' ? 'pending' : owing
      assert.equal(
        watcher.owing === 'deadline' || watcher.owing === 'failed' ? 'missed' : watcher.owing,
        isOwing,
      )
      assert.equal(watcher.held ?? false, held, `held ${watcher.id}`)
      assert.equal(watcher.dueAtUsec, dueAt, `when ${watcher.id} is due`)
      assert.equal(watcher.absentUntilUsec, absentUntil, `until when ${watcher.id} may come back`)
      assert.equal(watcher.sinceUsec === undefined, debt === 'none', `since when ${watcher.id} owes`)
    }
    const all = [...this.watchers.values()]
    const { watchers } = state
    assert.equal(watchers.size, all.length, '4: a restart loses no watcher')
    assert.equal(watchers.tracked, all.filter(({ tracked }) => tracked).length)
    assert.equal(watchers.outdated, all.filter(({ debt }) => debt !== 'none').length)
    assert.equal(watchers.pending, all.filter(({ debt }) => debt === 'pending').length)
    assert.equal(watchers.absent, all.filter(({ absentUntil }) => absentUntil !== undefined).length)
    if (wasTime && this.phase === 'adjusting' && !this.pending && nowUsec >= this.#holdUntil)
      assert.ok(
        all.some((watcher) => this.isWaitedFor(watcher)),
        '3: ready, when nobody is waited for',
      )
    const { snapshot } = this
    if (snapshot?.step === 'watchers' && !this.pending && !snapshot.orphaned) {
      const asked = this.watchers.get(snapshot.asking ?? '')
      assert.ok(asked && asked.absentUntil === undefined, 'somebody is asked, or the workload is frozen')
    }
  }

  #declare(minimum: number): void {
    const { restores = 0, minimum: before = 0 } = this.pending ?? {}
    this.pending = { restores: restores + 1, minimum: Math.max(before, minimum) }
    this.#must.makeUnique = 1
  }

  #begin({ attempt }: Event<'kernel-unique'>): void {
    if (!this.pending || attempt !== this.lastAttempt) return
    this.generation = Math.max(this.pending.minimum, this.generation + this.pending.restores)
    this.pending = undefined
    this.phase = 'adjusting'
    if (this.snapshot) this.#must.ended.push(`${this.snapshot.quiesce} restored`)
    this.snapshot = undefined
    this.#must.generation = true
    this.#toldUpTo = -1
    for (const watcher of this.watchers.values()) {
      watcher.debt = watcher.tracked ? 'pending' : 'none'
      watcher.dueAt = undefined
    }
  }

  #join(event: Event<'watcher-joined'>): void {
    const { type: _, nowUsec, ...declared } = event
    const before = [...this.watchers.values()].find(
      ({ name, owner, absentUntil }) =>
        absentUntil !== undefined && name === event.name && owner.startTicks === event.owner.startTicks,
    )
    if (before) this.watchers.delete(before.id)
    const watcher: Debtor = { ...declared, debt: 'none' }
    this.watchers.set(event.id, watcher)
    if (!event.tracked || event.adjustedTo === this.generation) return
    if (before?.debt === 'held' || before?.debt === 'given-up') {
      watcher.debt = before.debt
      watcher.dueAt = before.dueAt
      return
    }
    watcher.debt = 'pending'
    const isAdjusting = this.phase === 'adjusting'
    if (isAdjusting && stages.indexOf(event.stage) > this.#toldUpTo) return
    const own = nowUsec + event.deadlineMs * 1000
    const shared = Math.max(nowUsec, this.#toldAt + this.#limits.maxDeadlineMs * 1000)
    watcher.dueAt = before?.dueAt ?? (isAdjusting ? Math.min(own, shared) : own)
  }

  #leave({ id, mayReturn, nowUsec }: Event<'watcher-left'>): void {
    const watcher = this.watchers.get(id)
    if (!watcher) return
    if (mayReturn && this.isWaitedFor(watcher)) watcher.absentUntil = nowUsec + this.#limits.graceMs * 1000
    else this.watchers.delete(id)
  }

  #confirm({ id, failure, nowUsec }: Event<'confirmed'>): void {
    const watcher = this.watchers.get(id)
    if (!watcher) return
    if (failure === undefined) {
      watcher.debt = 'none'
      watcher.dueAt = undefined
    } else if (watcher.tracked && (watcher.debt === 'none' || watcher.debt === 'pending'))
      this.#miss(watcher, nowUsec)
  }

  #miss(watcher: Debtor, nowUsec: number): void {
    watcher.debt = watcher.policy === 'report' ? 'given-up' : 'held'
    const isEnforced = watcher.policy === 'restart' || watcher.policy === 'kill'
    watcher.dueAt = isEnforced ? nowUsec + enforcementUsec : undefined
    if (isEnforced) this.#must.enforce.push(watcher.id)
  }

  #giveUpOn(id: string): void {
    const watcher = this.watchers.get(id)
    if (watcher?.debt !== 'held') return
    watcher.debt = 'given-up'
    watcher.dueAt = undefined
  }

  #quiesce({ nowUsec, deadlineMs, thawAfterMs, force }: Event<'quiesce'>): void {
    if (this.phase !== 'running' || this.pending) return
    this.quiesces += 1
    this.phase = 'quiescing'
    const endsAt = nowUsec + deadlineMs * 1000
    this.snapshot = { quiesce: this.quiesces, force, thawAfterMs, step: 'watchers', endsAt }
  }

  #prepared({ id, veto }: Event<'prepared'>): void {
    const { snapshot } = this
    if (!snapshot) return
    if (veto !== undefined && !snapshot.force) this.#undo('vetoed')
    else if (snapshot.asking === id) snapshot.asking = undefined
  }

  /** What an answer of the freezer is about that nobody knows of: nothing else thaws that. */
  get #isLeftOver(): boolean {
    return !this.pending && (!this.snapshot || this.snapshot.step === 'watchers')
  }

  #frozen({ quiesce, nowUsec }: Event<'frozen'>): void {
    const { snapshot } = this
    if (snapshot?.quiesce !== quiesce) this.#must.thaw = this.#isLeftOver
    else if (!this.pending) {
      snapshot.step = 'frozen'
      snapshot.endsAt = nowUsec + snapshot.thawAfterMs * 1000
      this.phase = 'quiesced'
    }
  }

  #undo(how: string): void {
    if (!this.snapshot || this.pending) return
    this.#must.ended.push(`${this.snapshot.quiesce} ${how}`)
    this.#must.thaw = true
    this.snapshot = undefined
    this.phase = 'running'
  }

  #release(): void {
    if (this.pending) return
    if (!this.snapshot) this.#must.thaw = true
    else if (this.snapshot.step === 'frozen') this.#declare(0)
    else this.#undo('failed')
  }

  #restart({ dead, nowUsec }: Event<'restarted'>): void {
    for (const watcher of this.watchers.values()) {
      if (dead.includes(watcher.id) || !watcher.tracked) this.watchers.delete(watcher.id)
      else watcher.absentUntil = nowUsec + this.#limits.graceMs * 1000
    }
    if (this.pending) this.#must.makeUnique = 1
    else if (this.snapshot) this.snapshot.orphaned = true
    else this.#must.thaw = true
  }

  #pass(nowUsec: number): void {
    for (const watcher of this.watchers.values()) {
      const { absentUntil, dueAt, debt } = watcher
      if (absentUntil !== undefined && absentUntil <= nowUsec) this.watchers.delete(watcher.id)
      else if (this.pending || dueAt === undefined || dueAt > nowUsec) continue
      else if (debt === 'held') this.#giveUpOn(watcher.id)
      else this.#miss(watcher, nowUsec)
    }
    const { snapshot } = this
    if (this.pending || !snapshot || snapshot.endsAt > nowUsec) return
    if (snapshot.step === 'frozen') this.#declare(0)
    else if (snapshot.step === 'freezing' || !snapshot.force) this.#undo('failed')
  }

  #tell(stage: string, nowUsec: number): void {
    const index = stages.indexOf(stage)
    assert.equal(this.phase, 'adjusting')
    assert.equal(index, this.#toldUpTo + 1, 'stages in their order')
    for (const watcher of this.watchers.values()) {
      const own = stages.indexOf(watcher.stage)
      if (own < index) assert.ok(!this.isWaitedFor(watcher), `${watcher.id} is waited for before ${stage}`)
      if (own <= index && watcher.debt === 'pending' && watcher.dueAt === undefined)
        watcher.dueAt = nowUsec + watcher.deadlineMs * 1000
    }
    this.#toldUpTo = index
    this.#toldAt = nowUsec
  }

  #ready(nowUsec: number): void {
    assert.equal(this.phase, 'adjusting', '3: ready once')
    assert.equal(this.pending, undefined, '3: not ready with a restore pending')
    assert.equal(this.#toldUpTo, 2, '3: not ready before all were told')
    assert.ok(nowUsec >= this.#holdUntil, '3: not ready while others may come back')
    for (const watcher of this.watchers.values())
      assert.ok(!this.isWaitedFor(watcher), `3: not ready while ${watcher.id} is waited for`)
    this.phase = 'running'
  }

  #ask(id: string): void {
    assert.ok(this.snapshot && !this.pending, 'nobody is asked without a planned snapshot')
    const [next] = this.unasked
    assert.equal(id, next?.id, 'the one that was registered last is asked first')
    if (next) next.askedFor = this.snapshot.quiesce
    this.snapshot.asking = id
  }

  #freeze(quiesce: number, nowUsec: number): void {
    const { snapshot } = this
    assert.equal(this.pending, undefined, 'nothing is frozen while a restore is pending')
    assert.ok(snapshot?.quiesce === quiesce && snapshot.step === 'watchers', 'frozen once for a snapshot')
    const asked = this.watchers.get(snapshot.asking ?? '')
    const isPrepared = this.unasked.length === 0 && (!asked || asked.absentUntil !== undefined)
    assert.ok(isPrepared || (snapshot.force && nowUsec >= snapshot.endsAt), 'not frozen before all prepared')
    snapshot.step = 'freezing'
    snapshot.asking = undefined
    snapshot.endsAt = nowUsec + freezingUsec
  }
}
