import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import type {
  OrchestratorEffect,
  OrchestratorEvent,
} from '../../../packages/guest/src/orchestrator/events.ts'
import { checkConfirmation, checkPrepared, step } from '../../../packages/guest/src/orchestrator/machine.ts'
import {
  isDegraded,
  nextWakeUsec,
  type OrchestratorState,
} from '../../../packages/guest/src/orchestrator/state.ts'
import type { Action } from './actions.ts'
import { Model } from './model.ts'
import { restored, store } from './stored.ts'

type Timeless<T> = T extends unknown ? Omit<T, 'nowUsec'> : never
type EventNow = Timeless<OrchestratorEvent>
type Owner = Extract<OrchestratorEvent, { type: 'watcher-joined' }>['owner']

/** A process that watches; whether it is connected is the daemon's business. */
interface Process {
  owner: Owner
  registeredAtUsec: number
  adjustedTo: number
  watcher: string | undefined
}

/**
 * A guest in small, with the machine in its middle: a kernel and a freezer that answer late or never, processes that come, go
 * and confirm, a timer, a page, and a daemon that is killed. After every step the machine is compared with the model, and
 * the world with what may be in it.
 */
export class World {
  readonly model: Model
  state: OrchestratorState
  steps = 0
  #nowUsec = 2_000_000
  /** What the last daemon left on record: a state, and the events since. */
  #stored: string
  #journal: string[] = []
  #timer: number | undefined
  #page: Pick<OrchestratorState, 'generation' | 'phase'> & { tracked: number; outdated: number }
  #wiped = false
  #ids = new Set<string>()
  #isFrozen = false
  /** Requests that nobody has answered. */
  #kernel: number[] = []
  #freezes: number[] = []
  /** What the freezer has done, and the daemon has not heard of. */
  #freezerSays: { quiesce: number; works: boolean }[] = []
  #enforcements = new Set<string>()
  #processes: Process[] = []
  #lastId = 0
  #owesRelease = false
  #killAfter: Extract<Action, { do: 'kill' }> | undefined

  constructor(state: OrchestratorState) {
    this.state = state
    this.model = new Model(state)
    this.#stored = store(state)
    this.#page = pageOf(state)
    this.#timer = nextWakeUsec(state)
  }

  do(action: Action): void {
    switch (action.do) {
      case 'restore':
        this.#restore(action.minimum)
        return
      case 'evidence':
        this.#take({ type: 'evidence', evidence: this.#evidence })
        return
      case 'answer-kernel':
        this.#answerKernel(action)
        return
      case 'join':
        this.#join(action)
        return
      case 'leave':
        this.#leave(action.key, action.lives)
        return
      case 'confirm':
        this.#confirm(action)
        return
      case 'enforce':
        this.#enforce(action)
        return
      case 'quiesce': {
        const { deadlineMs, thawAfterMs, force } = action
        this.#take({ type: 'quiesce', deadlineMs, thawAfterMs, force })
        return
      }
      case 'prepare':
        this.#prepare(action)
        return
      case 'freeze':
        this.#freeze(action.works)
        return
      case 'answer-freezer':
        this.#answerFreezer()
        return
      case 'resume':
        this.#take({ type: 'resume', outcome: 'resumed', detail: 'no restore' })
        return
      case 'release':
        this.#release()
        return
      case 'wait':
        this.#wait(action.ms)
        return
      case 'save':
        this.#stored = store(this.state)
        this.#journal = []
        return
      case 'kill':
        if (action.afterEffects === undefined) this.#kill(action)
        else this.#killAfter = action
        return
      default:
        action satisfies never
    }
  }

  /** Answers everybody, and lets time pass until nothing is to happen any more: then everything must run. */
  end(): void {
    this.#killAfter = undefined
    for (let round = 0; round < 200; round++) {
      if (this.#owesRelease) this.#release()
      while (this.#freezes.length > 0) this.#freeze(true)
      while (this.#freezerSays.length > 0) this.#answerFreezer()
      while (this.#kernel.length > 0) this.#answerKernel({ latest: true, proven: true })
      for (const [key, { watcher }] of this.#processes.entries()) {
        // Whoever holds up ready for ever is held by configuration.
        if (watcher !== undefined && this.state.watchers.get(watcher)?.held) this.#confirm({ key })
      }
      if (this.#timer === undefined) break
      this.#nowUsec = Math.max(this.#nowUsec, this.#timer)
      this.#take({ type: 'time' })
    }
    assert.equal(this.state.phase, 'running', 'frozen: it ends in running')
    assert.equal(this.#isFrozen, false, 'frozen: nothing stays frozen for ever')
    assert.equal(this.model.pending, undefined, '4: no restore is left')
  }

  get #evidence() {
    return { source: 'test', detail: 'a sign', atUsec: this.#nowUsec }
  }

  #take(now: EventNow): void {
    // As it is on record: an event is JSON.
    const event: OrchestratorEvent = JSON.parse(JSON.stringify({ ...now, nowUsec: this.#nowUsec }))
    const before = this.state
    const [state, effects] = step(before, event)
    this.#journal.push(JSON.stringify(event))
    this.steps += 1
    this.state = state
    const cut = this.#killAfter
    this.model.expect(event)
    this.#checkGeneration(before, event)
    this.model.see(effects, this.#nowUsec, event.type === 'restarted')
    this.model.check(state, this.#nowUsec, event.type === 'time')
    this.#checkReady(effects)
    for (const effect of effects.slice(0, cut?.afterEffects)) this.#carryOut(effect)
    if (event.type === 'restore' || event.type === 'restarted') this.#killAfter = undefined
    if (cut) {
      this.#killAfter = undefined
      this.#kill(cut)
      return
    }
    this.#check(event)
  }

  /** In the order of the effects. */
  #carryOut(effect: OrchestratorEffect): void {
    if (effect.type === 'wipe-memory') this.#wiped = true
    else if (effect.type === 'make-kernel-unique') this.#kernel.push(effect.attempt)
    else if (effect.type === 'publish') this.#page = pageOf(this.state)
    else if (effect.type === 'freeze') this.#freezes.push(effect.quiesce)
    else if (effect.type === 'thaw') {
      assert.equal(this.#page.generation, this.state.generation, 'frozen: the page changes before the thaw')
      assert.equal(this.#page.phase, this.state.phase, 'frozen: who is thawed finds the page as it is')
      this.#isFrozen = false
    } else if (effect.type === 'enforce') this.#enforcements.add(effect.id)
    else if (effect.type === 'rearm') this.#timer = nextWakeUsec(this.state)
  }

  #checkGeneration(before: OrchestratorState, event: OrchestratorEvent): void {
    const { generation, generationId, attempts } = this.state
    if (generation === before.generation) return
    assert.ok(generation > before.generation, '2: the generation never goes back')
    assert.ok(event.type === 'kernel-unique' && event.attempt === attempts, '1: the kernel is unique')
    assert.ok(this.#wiped, '1: protected memory was wiped')
    assert.ok(!this.#ids.has(generationId), '2: a new id each time')
    this.#ids.add(generationId)
  }

  /** Who has missed a generation is named when it is ready. */
  #checkReady(effects: readonly OrchestratorEffect[]): void {
    if (!effects.some((effect) => effect.type === 'announce' && effect.event === 'ready')) return
    const missed = [...this.model.watchers.values()].filter(({ debt }) => debt === 'given-up')
    const isDoubtful = this.state.kernelRandom === 'unproven'
    assert.equal(isDegraded(this.state), missed.length > 0 || isDoubtful, '3: ready or degraded')
    const entry = this.state.log.at(-1)
    if (!entry) return
    assert.equal(entry.outcome, isDegraded(this.state) ? 'degraded' : 'ready')
    for (const { name } of missed) {
      const answers = entry.answers.filter((answer) => answer.name === name).map(({ answer }) => answer)
      const named = answers.some((answer) => ['late', 'failed', 'restarted', 'killed'].includes(answer))
      assert.ok(named, `3: ${name} is named`)
    }
  }

  #check(event: OrchestratorEvent): void {
    const { state } = this
    assert.deepEqual(this.#page, pageOf(state), 'the page says what is so')
    const wake = nextWakeUsec(state)
    if (wake !== undefined)
      assert.ok(this.#timer !== undefined && this.#timer <= wake, 'the timer is set in time')
    if (event.type === 'time')
      assert.ok(wake === undefined || wake > this.#nowUsec, 'time does not stand still')
    if (state.phase === 'adjusting' && !state.pending && wake === undefined) {
      const held = [...state.watchers].some((watcher) => watcher.held)
      assert.ok(held, 'something is to happen by time, or somebody holds up ready')
    }
    if (state.phase === 'quiesced' && !state.pending)
      assert.ok(this.#isFrozen, 'frozen: it is frozen while the phase is quiesced')
    const isOpen = this.#freezes.length + this.#freezerSays.length > 0
    if ((state.phase === 'running' || state.phase === 'adjusting') && !state.pending && !isOpen)
      assert.ok(!this.#isFrozen, `frozen: nothing is while the phase is ${state.phase}`)
  }

  #restore(minimum: number | undefined): void {
    this.#wiped = false
    const known = minimum === undefined ? {} : { minimum }
    this.#take({ type: 'restore', cause: 'clone', evidence: this.#evidence, kernelReseeded: false, ...known })
  }

  #answerKernel({ latest, proven }: { latest: boolean; proven: boolean }): void {
    const attempt = latest ? this.#kernel.pop() : this.#kernel.shift()
    if (attempt === undefined) return
    const kernelRandom = proven ? 'snapsafe' : 'unproven'
    this.#take({ type: 'kernel-unique', attempt, kernelRandom, generationId: `id-${attempt}` })
  }

  #processOf(key: number): Process {
    this.#processes[key] ??= this.#newProcess(key)
    return this.#processes[key]
  }

  #newProcess(key: number): Process {
    const startTicks = (this.#processes[key]?.owner.startTicks ?? 0) + 1
    return {
      owner: { pid: 100 + key, uid: 1000, startTicks },
      registeredAtUsec: this.#nowUsec,
      adjustedTo: this.state.generation,
      watcher: undefined,
    }
  }

  #isConnected({ watcher }: Process): boolean {
    const known = watcher === undefined ? undefined : this.model.watchers.get(watcher)
    return known !== undefined && known.absentUntil === undefined
  }

  #join({ do: _, key, adjusted, ...options }: Extract<Action, { do: 'join' }>): void {
    for (let one = 0; one <= key; one++) this.#processOf(one)
    const process = this.#processOf(key)
    if (this.#isConnected(process)) return
    this.#lastId += 1
    const id = String(this.#lastId)
    process.watcher = id
    if (adjusted) process.adjustedTo = this.state.generation
    const { owner, registeredAtUsec, adjustedTo } = process
    this.#take({
      type: 'watcher-joined',
      id,
      name: `w${key}`,
      owner,
      registeredAtUsec,
      adjustedTo,
      ...options,
    })
  }

  #leave(key: number, lives: boolean): void {
    const process = this.#processes[key]
    if (!process || !this.#isConnected(process)) return
    const id = process.watcher ?? ''
    if (!lives) this.#processes[key] = this.#newProcess(key)
    this.#take({ type: 'watcher-left', id, mayReturn: lives })
  }

  #confirm({ key, fails = false, behind = false }: { key: number; fails?: boolean; behind?: boolean }): void {
    const process = this.#processes[key]
    if (process?.watcher === undefined) return
    const { watcher: id, owner } = process
    const generation = this.state.generation - (behind ? 1 : 0)
    const isStale = behind || this.model.pending !== undefined
    const expected = !this.model.watchers.has(id) ? 'no-such-watcher' : isStale ? 'stale' : 'ok'
    assert.equal(checkConfirmation(this.state, id, owner, generation), expected)
    if (expected !== 'ok') return
    if (!fails) process.adjustedTo = generation
    this.#take({ type: 'confirmed', id, generation, ...(fails && { failure: 'cannot' }) })
  }

  #enforce({ key, works }: { key: number; works: boolean }): void {
    const id = this.#processes[key]?.watcher
    if (id === undefined || !this.#enforcements.delete(id)) return
    if (works) this.#leave(key, false)
    else this.#take({ type: 'not-enforced', id, detail: 'no unit' })
  }

  #prepare({ key, veto }: Extract<Action, { do: 'prepare' }>): void {
    const { snapshot, quiesces } = this.model
    const asked = this.#processes.find(({ watcher }) => watcher !== undefined && watcher === snapshot?.asking)
    const process = key === undefined ? asked : this.#processes[key]
    const known = this.model.watchers.get(process?.watcher ?? '')
    if (!process || !known) return
    const isOpen = snapshot?.step === 'watchers' && known.askedFor === snapshot.quiesce
    const verdict = checkPrepared(this.state, known.id, process.owner, quiesces)
    assert.equal(verdict, isOpen ? 'ok' : 'stale')
    if (isOpen)
      this.#take({ type: 'prepared', id: known.id, quiesce: quiesces, ...(veto && { veto: 'not now' }) })
  }

  #freeze(works: boolean): void {
    const quiesce = this.#freezes.shift()
    if (quiesce === undefined) return
    if (works) this.#isFrozen = true
    this.#freezerSays.push({ quiesce, works })
  }

  #answerFreezer(): void {
    const said = this.#freezerSays.shift()
    if (!said) return
    const { quiesce, works } = said
    if (works) this.#take({ type: 'frozen', quiesce, frozen: ['/app'], running: [] })
    else this.#take({ type: 'not-frozen', quiesce, detail: 'a process in an uninterruptible sleep' })
  }

  #release(): void {
    this.#owesRelease = false
    this.#take({ type: 'release', detail: 'nobody may be left frozen' })
  }

  #wait(ms: number): void {
    this.#nowUsec += ms * 1000
    if (this.#timer === undefined || this.#timer > this.#nowUsec) return
    this.#timer = undefined
    this.#take({ type: 'time' })
  }

  /** Whatever was not on record is lost, and another daemon goes on from there. */
  #kill({ dead, downMs }: Extract<Action, { do: 'kill' }>): void {
    let state = restored(this.#stored)
    for (const event of this.#journal) state = step(state, JSON.parse(event))[0]
    const [left, found] = [JSON.parse(store(this.state)), JSON.parse(store(state))]
    assert.ok(isDeepStrictEqual(found, left), '4: what is on record gives the state that there was')
    this.state = state
    this.#timer = undefined
    this.#kernel = []
    this.#freezes = []
    this.#freezerSays = []
    this.#enforcements.clear()
    this.#owesRelease = true
    this.#nowUsec += downMs * 1000
    const gone: string[] = []
    for (const [key, { watcher }] of this.#processes.entries()) {
      if ((dead & (1 << key)) === 0) continue
      if (watcher !== undefined && this.model.watchers.has(watcher)) gone.push(watcher)
      this.#processes[key] = this.#newProcess(key)
    }
    this.#take({ type: 'restarted', dead: gone })
  }
}

function pageOf({ generation, phase, watchers }: OrchestratorState) {
  return { generation, phase, tracked: watchers.tracked, outdated: watchers.outdated }
}
