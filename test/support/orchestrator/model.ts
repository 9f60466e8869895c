import assert from 'node:assert/strict'
import type {
  OrchestratorEffect,
  OrchestratorEvent,
} from '../../../packages/guest/src/orchestrator/events.ts'
import type { OrchestratorState } from '../../../packages/guest/src/orchestrator/state.ts'
import { type Debtor, Debts } from './debts.ts'

const freezingUsec = 30_000_000

type Event<T extends OrchestratorEvent['type']> = Extract<OrchestratorEvent, { type: T }>

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

/** What an event has to bring about. */
interface Due {
  makeUnique: number
  ended: string[]
  generation: boolean
  thaw: boolean
}

/**
 * What must be true of the machine, by books of its own: who owes what, which restores were declared, and how far a planned
 * snapshot is. `expect` takes an event, `see` the effects that the machine wants, `check` the state that it has come to.
 */
export class Model {
  readonly debts: Debts
  pending: { restores: number; minimum: number } | undefined
  snapshot: Planned | undefined
  quiesces = 0
  #generation: number
  #phase: OrchestratorState['phase']
  #lastAttempt = 0
  #due: Due = { makeUnique: 0, ended: [], generation: false, thaw: false }
  readonly #holdUntil: number

  constructor(state: OrchestratorState) {
    this.debts = new Debts(state)
    this.#generation = state.generation
    this.#phase = state.phase
    this.#holdUntil = state.holdUntilUsec
  }

  expect(event: OrchestratorEvent): void {
    this.#due = { makeUnique: 0, ended: [], generation: false, thaw: false }
    this.debts.enforced = []
    const { debts } = this
    if (event.type === 'restore') this.#declare(event.minimum ?? 0)
    else if (event.type === 'kernel-unique') this.#begin(event)
    else if (event.type === 'watcher-joined') debts.join(event, this.#generation, this.#phase === 'adjusting')
    else if (event.type === 'watcher-left') debts.leave(event)
    else if (event.type === 'confirmed') {
      if (event.generation === this.#generation) debts.confirm(event)
    } else if (event.type === 'not-enforced') debts.giveUpOn(event.id)
    else if (event.type === 'quiesce') this.#quiesce(event)
    else if (event.type === 'prepared') this.#prepared(event)
    else if (event.type === 'frozen' || event.type === 'not-frozen') this.#takeFreezer(event)
    else if (event.type === 'resume') this.#undo(event.outcome, event.nowUsec)
    else if (event.type === 'release') this.#release(event.nowUsec)
    else if (event.type === 'restarted') this.#restart(event)
    else if (event.type === 'time') this.#pass(event.nowUsec)
    else event.type satisfies 'evidence' | 'done'
  }

  /** Takes the effects in their order, and says where one of them is wrong. */
  see(effects: readonly OrchestratorEffect[], event: OrchestratorEvent): void {
    const seen = { makeUnique: 0, ended: [] as string[], enforced: [] as string[] }
    const before = new Set<OrchestratorEffect['type']>()
    for (const effect of effects) {
      this.#seeOne(effect, event, before)
      before.add(effect.type)
      if (effect.type === 'make-kernel-unique') seen.makeUnique += 1
      if (effect.type === 'quiesce-ended') seen.ended.push(`${effect.quiesce} ${effect.outcome.how}`)
      if (effect.type === 'enforce') seen.enforced.push(effect.id)
    }
    const { makeUnique, ended, generation, thaw } = this.#due
    assert.equal(seen.makeUnique, makeUnique, '4: a restore is made a generation')
    assert.deepEqual(seen.ended, ended, 'each planned snapshot ends once')
    assert.deepEqual(seen.enforced.sort(), this.debts.enforced.sort(), 'each is restarted or killed once')
    assert.equal(generation, false, '2: a generation is published, and then thawed')
    assert.equal(thaw, false, 'frozen: what may be frozen is thawed')
  }

  /** When something is to happen by time. */
  get nextUsec(): number | undefined {
    const times: (number | undefined)[] = []
    for (const { absentUntil, dueAt } of this.debts.all.values())
      times.push(absentUntil, this.#areDeadlinesHeld ? undefined : dueAt)
    if (!this.pending) {
      times.push(this.snapshot?.endsAt)
      const isHeldUp = this.#phase === 'adjusting' && this.debts.waitedFor.length === 0
      times.push(isHeldUp ? this.#holdUntil : undefined)
    }
    const known = times.filter((time) => time !== undefined)
    return known.length === 0 ? undefined : Math.min(...known)
  }

  check(state: OrchestratorState, event: OrchestratorEvent): void {
    assert.equal(state.generation, this.#generation, '2: the generation counts the restores')
    assert.equal(state.phase, this.#phase, 'the phase')
    assert.equal(state.pending?.restores, this.pending?.restores, '4: restores that wait for a generation')
    assert.equal(state.snapshot?.step, this.snapshot?.step, 'how far the planned snapshot is')
    assert.equal(state.snapshot?.asking, this.snapshot?.asking, 'who is asked')
    this.debts.check(state)
    const { snapshot, debts, pending } = this
    const isHeldUp = debts.waitedFor.length > 0 || event.nowUsec < this.#holdUntil || pending !== undefined
    if (event.type === 'time' && this.#phase === 'adjusting')
      assert.ok(isHeldUp, '3: ready, when nobody is waited for')
    if (snapshot?.step === 'watchers' && !pending && !snapshot.orphaned)
      assert.ok(this.#isAsking, 'somebody is asked, or the workload is frozen')
  }

  #seeOne(
    effect: OrchestratorEffect,
    { nowUsec, type }: OrchestratorEvent,
    before: ReadonlySet<string>,
  ): void {
    if (effect.type === 'make-kernel-unique') {
      assert.ok(before.has('wipe-memory'), '1: memory is wiped before the kernel is made unique')
      assert.ok(effect.attempt > this.#lastAttempt, '2: an attempt is never used twice')
      this.#lastAttempt = effect.attempt
    } else if (effect.type === 'publish' && effect.change === 'generation')
      assert.ok(this.#due.generation || type === 'restarted', '1: a generation needs a unique kernel')
    else if (effect.type === 'thaw') {
      assert.equal(this.pending, undefined, 'frozen: nothing is thawed while a restore is pending')
      assert.notEqual(this.#phase, 'quiesced', 'frozen: nothing is thawed while the phase is quiesced')
      if (this.#due.generation) assert.ok(before.has('publish'), 'frozen: the page changes before the thaw')
      this.#due.thaw = false
      this.#due.generation = false
    } else if (effect.type === 'tell') {
      assert.ok(this.#phase === 'adjusting' && !this.pending, 'nobody is told while a restore is pending')
      assert.equal(this.#due.generation, false, 'frozen: the thaw comes before anybody is told')
      this.debts.tell(effect.stage, nowUsec)
    } else if (effect.type === 'announce' && effect.event === 'ready') this.#ready(nowUsec)
    else if (effect.type === 'ask') this.#ask(effect.id)
    else if (effect.type === 'freeze') {
      assert.ok(before.has('wipe-memory'), 'memory is wiped before the freeze')
      this.#freeze(effect.quiesce, nowUsec)
    }
  }

  #declare(minimum: number): void {
    const { restores = 0, minimum: before = 0 } = this.pending ?? {}
    this.pending = { restores: restores + 1, minimum: Math.max(before, minimum) }
    this.#due.makeUnique = 1
  }

  #begin({ attempt }: Event<'kernel-unique'>): void {
    if (!this.pending || attempt !== this.#lastAttempt) return
    this.#generation = Math.max(this.pending.minimum, this.#generation + this.pending.restores)
    this.pending = undefined
    this.#phase = 'adjusting'
    if (this.snapshot) this.#due.ended.push(`${this.snapshot.quiesce} restored`)
    this.snapshot = undefined
    this.#due.generation = true
    this.debts.begin()
  }

  #ready(nowUsec: number): void {
    assert.equal(this.#phase, 'adjusting', '3: ready once')
    assert.equal(this.pending, undefined, '3: not ready with a restore pending')
    assert.ok(this.debts.allAreTold, '3: not ready before all were told')
    assert.ok(nowUsec >= this.#holdUntil, '3: not ready while others may come back')
    assert.deepEqual(this.debts.waitedFor, [], '3: not ready while somebody is waited for')
    this.#phase = 'running'
  }

  #quiesce({ nowUsec, deadlineMs, thawAfterMs, force }: Event<'quiesce'>): void {
    if (this.#phase !== 'running' || this.pending) return
    this.quiesces += 1
    this.#phase = 'quiescing'
    const endsAt = nowUsec + deadlineMs * 1000
    this.snapshot = { quiesce: this.quiesces, force, thawAfterMs, step: 'watchers', endsAt }
  }

  #prepared({ id, veto, nowUsec }: Event<'prepared'>): void {
    const { snapshot } = this
    if (!snapshot) return
    if (veto !== undefined && !snapshot.force) this.#undo('vetoed', nowUsec)
    else if (snapshot.asking === id) snapshot.asking = undefined
  }

  #takeFreezer(event: Event<'frozen'> | Event<'not-frozen'>): void {
    const { snapshot, pending } = this
    // What nobody wants frozen any more, nothing else thaws.
    if (snapshot?.quiesce !== event.quiesce)
      this.#due.thaw = !pending && (!snapshot || snapshot.step === 'watchers')
    else if (event.type === 'not-frozen') this.#undo('failed', event.nowUsec)
    else if (!pending) {
      snapshot.step = 'frozen'
      snapshot.endsAt = event.nowUsec + snapshot.thawAfterMs * 1000
      this.#phase = 'quiesced'
    }
  }

  get #areDeadlinesHeld(): boolean {
    return this.pending !== undefined || (this.snapshot !== undefined && this.snapshot.step !== 'watchers')
  }

  #undo(how: string, nowUsec: number): void {
    if (!this.snapshot || this.pending) return
    if (this.#areDeadlinesHeld) this.debts.spare(nowUsec)
    this.#due.ended.push(`${this.snapshot.quiesce} ${how}`)
    this.#due.thaw = true
    this.snapshot = undefined
    this.#phase = 'running'
  }

  #release(nowUsec: number): void {
    if (this.pending) return
    if (!this.snapshot) this.#due.thaw = true
    else if (this.snapshot.step === 'frozen') this.#declare(0)
    else this.#undo('failed', nowUsec)
  }

  #restart(event: Event<'restarted'>): void {
    this.debts.restart(event)
    if (this.pending) this.#due.makeUnique = 1
    else if (this.snapshot) this.snapshot.orphaned = true
    else this.#due.thaw = true
  }

  #pass(nowUsec: number): void {
    this.debts.pass(nowUsec, this.#areDeadlinesHeld)
    const { snapshot } = this
    if (this.pending || !snapshot || snapshot.endsAt > nowUsec) return
    if (snapshot.step === 'frozen') this.#declare(0)
    else if (snapshot.step === 'freezing' || !snapshot.force) this.#undo('failed', nowUsec)
  }

  /** Who may still be asked about the planned snapshot, the next first. */
  get #unasked(): Debtor[] {
    return [...this.debts.all.values()]
      .filter(({ beforeSnapshot, absentUntil }) => beforeSnapshot && absentUntil === undefined)
      .filter(({ askedFor }) => askedFor !== this.snapshot?.quiesce)
      .sort((a, b) => b.registeredAtUsec - a.registeredAtUsec || Number(b.id) - Number(a.id))
  }

  get #isAsking(): boolean {
    const asked = this.debts.all.get(this.snapshot?.asking ?? '')
    return asked !== undefined && asked.absentUntil === undefined
  }

  #ask(id: string): void {
    assert.ok(this.snapshot?.step === 'watchers' && !this.pending, 'nobody is asked without need')
    assert.ok(!this.#isAsking, 'one after another is asked')
    const [next] = this.#unasked
    assert.equal(id, next?.id, 'the one that was registered last is asked first')
    if (next) next.askedFor = this.snapshot.quiesce
    this.snapshot.asking = id
  }

  #freeze(quiesce: number, nowUsec: number): void {
    const { snapshot } = this
    assert.equal(this.pending, undefined, 'nothing is frozen while a restore is pending')
    assert.ok(snapshot?.quiesce === quiesce && snapshot.step === 'watchers', 'frozen once for a snapshot')
    const isPrepared = this.#unasked.length === 0 && !this.#isAsking
    assert.ok(isPrepared || (snapshot.force && nowUsec >= snapshot.endsAt), 'not frozen before all prepared')
    snapshot.step = 'freezing'
    snapshot.asking = undefined
    snapshot.endsAt = nowUsec + freezingUsec
  }
}
