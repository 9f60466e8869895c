import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import type {
  OrchestratorEffect,
  OrchestratorEvent,
} from '../../../packages/guest/src/orchestrator/events.ts'
import { step } from '../../../packages/guest/src/orchestrator/machine.ts'
import {
  isDegraded,
  nextWakeUsec,
  type OrchestratorState,
} from '../../../packages/guest/src/orchestrator/state.ts'
import { Model } from './model.ts'
import { restored, store } from './stored.ts'

type Timeless<T> = T extends unknown ? Omit<T, 'nowUsec'> : never
/** An event that happens at the time of the world. */
export type EventNow = Timeless<OrchestratorEvent>

/** When the daemon is to be killed, and what comes after that. */
interface Death {
  /** So many effects of the next event are still carried out. */
  readonly afterEffects: number
  readonly then: () => void
}

/**
 * What the machine runs in: a page, a timer, a record on disk, a freezer, and who is to answer what. After every step the
 * machine is compared with the model, and the world with what may be in it.
 */
export class World {
  readonly model: Model
  state: OrchestratorState
  steps = 0
  nowUsec = 2_000_000
  timerUsec: number | undefined
  isFrozen = false
  /** Requests that nobody has answered. */
  kernelRequests: number[] = []
  freezeRequests: number[] = []
  enforcements = new Set<string>()
  /** What the freezer has done, and the daemon has not heard of. */
  freezerSays: { quiesce: number; works: boolean }[] = []
  death: Death | undefined
  /** What the next daemon finds: a state, and the events since. */
  #record: string
  #journal: string[] = []
  #page: ReturnType<typeof pageOf>
  #isWiped = false
  readonly #ids = new Set<string>()

  constructor(state: OrchestratorState) {
    this.state = state
    this.model = new Model(state)
    this.#record = store(state)
    this.#page = pageOf(state)
    this.timerUsec = nextWakeUsec(state)
  }

  take(now: EventNow): void {
    // As it is on record: an event is JSON.
    const record = JSON.stringify({ ...now, nowUsec: this.nowUsec })
    const event: OrchestratorEvent = JSON.parse(record)
    const before = this.state
    const [state, effects] = step(before, event)
    this.#journal.push(record)
    this.steps += 1
    this.state = state
    if (event.type === 'restore') this.#isWiped = false
    this.model.expect(event)
    this.#checkGeneration(before, event)
    this.model.see(effects, event)
    this.model.check(state, event)
    if (effects.some((effect) => effect.type === 'announce' && effect.event === 'ready')) this.#checkReady()
    const { death } = this
    this.death = undefined
    for (const effect of effects.slice(0, death?.afterEffects)) this.#carryOut(effect)
    if (death) death.then()
    else this.#check(event)
  }

  save(): void {
    this.#record = store(this.state)
    this.#journal = []
  }

  /** The daemon is killed: what is not on record is lost. */
  lose(): void {
    let state = restored(this.#record)
    for (const event of this.#journal) state = step(state, JSON.parse(event))[0]
    const [found, left] = [store(state), store(this.state)].map((stored) => JSON.parse(stored))
    assert.ok(isDeepStrictEqual(found, left), '4: what is on record gives the state that there was')
    this.state = state
    this.timerUsec = undefined
    this.kernelRequests = []
    this.freezeRequests = []
    this.freezerSays = []
    this.enforcements.clear()
  }

  #carryOut(effect: OrchestratorEffect): void {
    if (effect.type === 'wipe-memory') this.#isWiped = true
    else if (effect.type === 'make-kernel-unique') this.kernelRequests.push(effect.attempt)
    else if (effect.type === 'publish') this.#page = pageOf(this.state)
    else if (effect.type === 'freeze') this.freezeRequests.push(effect.quiesce)
    else if (effect.type === 'enforce') this.enforcements.add(effect.id)
    else if (effect.type === 'rearm') this.timerUsec = nextWakeUsec(this.state)
    else if (effect.type === 'thaw') {
      const { generation, phase } = this.#page
      assert.equal(generation, this.state.generation, 'frozen: the page changes before the thaw')
      assert.equal(phase, this.state.phase, 'frozen: who is thawed finds the page as it is')
      this.isFrozen = false
    }
  }

  #checkGeneration(before: OrchestratorState, event: OrchestratorEvent): void {
    const { generation, generationId, attempts } = this.state
    if (generation === before.generation) return
    assert.ok(generation > before.generation, '2: the generation never goes back')
    assert.ok(event.type === 'kernel-unique' && event.attempt === attempts, '1: the kernel is unique')
    assert.ok(this.#isWiped, '1: protected memory was wiped')
    assert.ok(!this.#ids.has(generationId), '2: a new id each time')
    this.#ids.add(generationId)
  }

  /** Who has missed a generation is named when it is ready. */
  #checkReady(): void {
    const { kernelRandom, log } = this.state
    const { missed } = this.model.debts
    const isDoubtful = kernelRandom === 'unproven'
    assert.equal(isDegraded(this.state), missed.length > 0 || isDoubtful, '3: ready or degraded')
    const entry = log.at(-1)
    if (!entry) return
    assert.equal(entry.outcome, isDegraded(this.state) ? 'degraded' : 'ready', 'how the log says it ended')
    for (const { name } of missed) {
      const answers = entry.answers.filter((one) => one.name === name).map(({ answer }) => answer)
      const isNamed = answers.some((answer) => ['late', 'failed', 'restarted', 'killed'].includes(answer))
      assert.ok(isNamed, `3: ${name} is named`)
    }
  }

  #check({ type }: OrchestratorEvent): void {
    const { state, nowUsec } = this
    const { phase, pending } = state
    assert.deepEqual(this.#page, pageOf(state), 'the page says what is so')
    const wakeUsec = nextWakeUsec(state)
    assert.equal(wakeUsec, this.model.nextUsec, 'when something is to happen by time')
    if (wakeUsec !== undefined)
      assert.ok(this.timerUsec !== undefined && this.timerUsec <= wakeUsec, 'the timer is set in time')
    if (type === 'time') assert.ok((wakeUsec ?? Infinity) > nowUsec, 'time does not stand still')
    if (phase === 'adjusting' && !pending && wakeUsec === undefined) {
      const isHeld = this.model.debts.waitedFor.some(({ debt }) => debt === 'held')
      assert.ok(isHeld, 'something is to happen by time, or somebody holds up ready')
    }
    if (pending) return
    if (phase === 'quiesced') assert.ok(this.isFrozen, 'frozen: it is while the phase is quiesced')
    const isFreezing = this.freezeRequests.length + this.freezerSays.length > 0
    if ((phase === 'running' || phase === 'adjusting') && !isFreezing)
      assert.ok(!this.isFrozen, `frozen: nothing is while the phase is ${phase}`)
  }
}

function pageOf({ generation, phase, watchers }: OrchestratorState) {
  return { generation, phase, tracked: watchers.tracked, outdated: watchers.outdated }
}
