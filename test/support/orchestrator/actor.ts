import assert from 'node:assert/strict'
import type { OrchestratorEvent } from '../../../packages/guest/src/orchestrator/events.ts'
import { checkConfirmation, checkPrepared } from '../../../packages/guest/src/orchestrator/machine.ts'
import type { OrchestratorState } from '../../../packages/guest/src/orchestrator/state.ts'
import type { Action } from './actions.ts'
import { World } from './world.ts'

type ActionOf<T extends Action['do']> = Extract<Action, { do: T }>
type Owner = Extract<OrchestratorEvent, { type: 'watcher-joined' }>['owner']

const processCount = 8
/** More than enough for everything to come to its end. */
const maxRounds = 200

/** A process that watches; whether it is connected is the daemon's business. */
interface Process {
  readonly owner: Owner
  readonly registeredAtUsec: number
  adjustedTo: number
  watcher: string | undefined
}

/** All that happens in a world: a kernel and a freezer that answer, processes that come, go and confirm, and a daemon's death. */
export class Actor {
  readonly world: World
  readonly #processes: Process[]
  #lastId = 0
  #owesRelease = false

  constructor(state: OrchestratorState) {
    this.world = new World(state)
    this.#processes = Array.from({ length: processCount }, (_, key) => this.#begun(key, 1))
  }

  do(action: Action): void {
    const { world } = this
    if (action.do === 'restore') this.#restore(action)
    else if (action.do === 'evidence') world.take({ type: 'evidence', evidence: this.#evidence })
    else if (action.do === 'answer-kernel') this.#answerKernel(action)
    else if (action.do === 'join') this.#join(action)
    else if (action.do === 'leave') this.#leave(action.key, action.lives)
    else if (action.do === 'confirm') this.#confirm(action)
    else if (action.do === 'enforce') this.#enforce(action)
    else if (action.do === 'quiesce') this.#quiesce(action)
    else if (action.do === 'prepare') this.#prepare(action)
    else if (action.do === 'freeze') this.#freeze(action)
    else if (action.do === 'answer-freezer') this.#answerFreezer()
    else if (action.do === 'resume') world.take({ type: 'resume', outcome: 'resumed', detail: 'no restore' })
    else if (action.do === 'release') this.#release()
    else if (action.do === 'wait') this.#wait(action.ms)
    else if (action.do === 'save') world.save()
    else if (action.do === 'kill') this.#kill(action)
    else action satisfies never
  }

  /** Answers everybody, and lets time pass until nothing is to happen any more: then everything must run. */
  end(): void {
    const { world } = this
    world.death = undefined
    for (let round = 0; round < maxRounds; round++) {
      if (this.#owesRelease) this.#release()
      while (world.freezeRequests.length > 0) this.#freeze({ works: true, isHeard: true })
      while (world.freezerSays.length > 0) this.#answerFreezer()
      while (world.kernelRequests.length > 0) this.#answerKernel({ latest: true, proven: true })
      for (const [key, { watcher }] of this.#processes.entries()) {
        // Whoever holds up ready for ever is meant to, by configuration.
        if (watcher !== undefined && world.state.watchers.get(watcher)?.held) this.#confirm({ key })
      }
      if (world.timerUsec === undefined) break
      world.nowUsec = Math.max(world.nowUsec, world.timerUsec)
      world.take({ type: 'time' })
    }
    assert.equal(world.state.phase, 'running', 'frozen: it ends in running')
    assert.equal(world.isFrozen, false, 'frozen: nothing stays frozen for ever')
    assert.equal(world.model.pending, undefined, '4: no restore is left')
  }

  get #evidence() {
    return { source: 'test', detail: 'a sign', atUsec: this.world.nowUsec }
  }

  #begun(key: number, startTicks: number): Process {
    const { nowUsec, state } = this.world
    const owner = { pid: 100 + key, uid: 1000, startTicks }
    return { owner, registeredAtUsec: nowUsec, adjustedTo: state.generation, watcher: undefined }
  }

  #processOf(key: number): Process {
    const process = this.#processes[key]
    assert.ok(process)
    return process
  }

  /** Another process in its place, later. */
  #die(key: number): void {
    this.#processes[key] = this.#begun(key, this.#processOf(key).owner.startTicks + 1)
  }

  #isConnected({ watcher }: Process): boolean {
    const known = this.world.model.debts.all.get(watcher ?? '')
    return known !== undefined && known.absentUntil === undefined
  }

  #restore({ minimum }: ActionOf<'restore'>): void {
    const known = minimum === undefined ? {} : { minimum }
    const evidence = this.#evidence
    this.world.take({ type: 'restore', cause: 'clone', evidence, kernelReseeded: false, ...known })
  }

  #answerKernel({ latest, proven }: { latest: boolean; proven: boolean }): void {
    const { kernelRequests } = this.world
    const attempt = latest ? kernelRequests.pop() : kernelRequests.shift()
    if (attempt === undefined) return
    const kernelRandom = proven ? 'snapsafe' : 'unproven'
    this.world.take({ type: 'kernel-unique', attempt, kernelRandom, generationId: `id-${attempt}` })
  }

  #join({ do: _, key, adjusted, ...options }: ActionOf<'join'>): void {
    const process = this.#processOf(key)
    if (this.#isConnected(process)) return
    this.#lastId += 1
    const id = String(this.#lastId)
    process.watcher = id
    if (adjusted) process.adjustedTo = this.world.state.generation
    const { owner, registeredAtUsec, adjustedTo } = process
    const known = { id, name: `w${key}`, owner, registeredAtUsec, adjustedTo }
    this.world.take({ type: 'watcher-joined', ...known, ...options })
  }

  #leave(key: number, lives: boolean): void {
    const process = this.#processOf(key)
    const { watcher } = process
    if (watcher === undefined || !this.#isConnected(process)) return
    if (!lives) this.#die(key)
    this.world.take({ type: 'watcher-left', id: watcher, mayReturn: lives })
  }

  /** Also of one whose connection is lost: it confirms on another one. */
  #confirm({ key, fails = false, behind = false }: { key: number; fails?: boolean; behind?: boolean }): void {
    const { model, state } = this.world
    const process = this.#processOf(key)
    const { watcher: id, owner } = process
    if (id === undefined) return
    const generation = state.generation - (behind ? 1 : 0)
    const isStale = behind || model.pending !== undefined
    const verdict = !model.debts.all.has(id) ? 'no-such-watcher' : isStale ? 'stale' : 'ok'
    assert.equal(checkConfirmation(state, id, owner, generation), verdict)
    // One of the generation before counts for nothing, even where nobody has asked.
    if (verdict !== 'ok' && !behind) return
    if (!fails && !behind) process.adjustedTo = generation
    this.world.take({ type: 'confirmed', id, generation, ...(fails && { failure: 'cannot' }) })
  }

  #enforce({ works }: ActionOf<'enforce'>): void {
    const { enforcements } = this.world
    const [id] = enforcements
    if (id === undefined) return
    enforcements.delete(id)
    const key = this.#processes.findIndex(({ watcher }) => watcher === id)
    if (!works) this.world.take({ type: 'not-enforced', id, detail: 'no unit' })
    else if (key >= 0) this.#leave(key, false)
  }

  #quiesce({ deadlineMs, thawAfterMs, force }: ActionOf<'quiesce'>): void {
    this.world.take({ type: 'quiesce', deadlineMs, thawAfterMs, force, callerPid: 1 })
  }

  /** The one that is asked, where no other is named. */
  #prepare({ key, veto }: ActionOf<'prepare'>): void {
    const { model, state } = this.world
    const { snapshot, quiesces: quiesce } = model
    const asked = snapshot?.asking ?? ''
    const process =
      key === undefined ? this.#processes.find(({ watcher }) => watcher === asked) : this.#processOf(key)
    const known = model.debts.all.get(process?.watcher ?? '')
    if (!process || !known) return
    const isOpen = snapshot?.step === 'watchers' && known.askedFor === snapshot.quiesce
    assert.equal(checkPrepared(state, known.id, process.owner, quiesce), isOpen ? 'ok' : 'stale')
    if (isOpen) this.world.take({ type: 'prepared', id: known.id, quiesce, ...(veto && { veto: 'not now' }) })
  }

  #freeze({ works, isHeard }: { works: boolean; isHeard: boolean }): void {
    const quiesce = this.world.freezeRequests.shift()
    if (quiesce === undefined) return
    if (works) this.world.isFrozen = true
    this.world.freezerSays.push({ quiesce, works })
    if (isHeard) this.#answerFreezer()
  }

  #answerFreezer(): void {
    const said = this.world.freezerSays.shift()
    if (!said) return
    const { quiesce, works } = said
    if (works) this.world.take({ type: 'frozen', quiesce, frozen: ['/app'], running: [] })
    else this.world.take({ type: 'not-frozen', quiesce, detail: 'a process does not stop' })
  }

  #release(): void {
    this.#owesRelease = false
    this.world.take({ type: 'release', detail: 'nobody may be left frozen' })
  }

  #wait(ms: number): void {
    const { world } = this
    world.nowUsec += ms * 1000
    if (world.timerUsec === undefined || world.timerUsec > world.nowUsec) return
    world.timerUsec = undefined
    world.take({ type: 'time' })
  }

  #kill(action: ActionOf<'kill'>): void {
    const { afterEffects } = action
    const then = () => this.#revive(action)
    if (afterEffects === undefined) then()
    else this.world.death = { afterEffects, then }
  }

  #revive({ dead, downMs }: ActionOf<'kill'>): void {
    const { world } = this
    world.lose()
    world.nowUsec += downMs * 1000
    const gone: string[] = []
    for (const [key, { watcher }] of this.#processes.entries()) {
      if ((dead & (1 << key)) === 0) continue
      if (watcher !== undefined && world.model.debts.all.has(watcher)) gone.push(watcher)
      this.#die(key)
    }
    this.#owesRelease = true
    world.take({ type: 'restarted', connected: [], dead: gone })
  }
}
