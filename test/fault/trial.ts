import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadNative } from 'snapsafe/native'
import type { Methods, State } from 'snapsafe/protocol'
import { expect } from 'vitest'
import { before, DaemonProcess } from '../support/daemon-process.ts'
import { eventually } from '../support/eventually.ts'
import { call } from '../support/test-watcher.ts'
import { Debtor } from './debtor.ts'
import { type KillPlan, killEnvironment, killLauncher } from './kill-plan.ts'
import { Ledger } from './ledger.ts'
import { PageObserver } from './page-observer.ts'
import { Workload } from './workload.ts'

/** Of one call; the longest takes some milliseconds. */
const callDeadlineMs = 15_000
/** From the moment at which a daemon answers until what was left frozen runs. */
const thawDeadlineMs = 3000
/** How long a process takes to be gone when the kernel has killed it. */
const deathDeadlineMs = 2000
/** How much of what was shown a failure tells of. */
const maxShown = 20

export interface TrialOptions {
  /** Whether there is a workload that is frozen; otherwise a planned snapshot freezes nothing. */
  readonly freezes: boolean
  readonly watchers: readonly ConstructorParameters<typeof Debtor>[0][]
  /** How long watchers may take to come back. Not given: as long as the slowest machine takes. */
  readonly grace?: string
  /** At which step the very first daemon is killed; another takes its place. */
  readonly first?: KillPlan
}

/** A runtime directory and all that lives longer than a daemon: the page, its readers, the workload and the watchers. */
export class Trial {
  readonly watchers: Debtor[] = []
  ledger = new Ledger(0, 0)
  firstLived = true
  #restores = 0
  readonly #folder = mkdtempSync(join(tmpdir(), 'snapsafe-fault-'))
  readonly #grace: string
  readonly #workload: Workload | undefined
  #daemon: DaemonProcess | undefined
  #observer: PageObserver | undefined
  readonly #shown: string[] = []

  static async begin(options: TrialOptions): Promise<Trial> {
    const { watchers, first } = options
    const trial = new Trial(options)
    try {
      trial.firstLived = await trial.start(first)
      if (first) {
        if (trial.firstLived) await trial.kill()
        await trial.start()
      }
      await trial.#workload?.start(trial.daemon.pagePath)
      trial.#observer = new PageObserver(trial.daemon.pagePath, { judge: (page) => trial.#judge(page) })
      for (const parameters of watchers) {
        const watcher = new Debtor(parameters, 0)
        await watcher.join(trial.daemon.socket)
        trial.watchers.push(watcher)
      }
      return trial
    } catch (error) {
      await trial[Symbol.asyncDispose]()
      throw error
    }
  }

  private constructor({ freezes, grace = '40s' }: TrialOptions) {
    this.#grace = grace
    this.#workload = freezes ? new Workload() : undefined
  }

  get runtimeDir(): string {
    return join(this.#folder, 'run')
  }

  get daemon(): DaemonProcess {
    if (!this.#daemon) throw new Error('there is no daemon')
    return this.#daemon
  }

  get socket(): string {
    return this.daemon.socket
  }

  /** The watcher of this name. */
  watcher(name: string): Debtor {
    const watcher = this.watchers.find((one) => one.name === name)
    if (!watcher) throw new Error(`there is no watcher ${name}`)
    return watcher
  }

  /** Starts a daemon that is killed at a step, or none. Resolves when it answers; false: it was killed before. */
  async start(plan?: KillPlan): Promise<boolean> {
    const options = {
      runtimeDir: this.runtimeDir,
      launcher: killLauncher,
      env: killEnvironment(plan, this.#report),
      config: configFor(this.#workload?.path, this.#grace),
    }
    await this.#daemon?.[Symbol.asyncDispose]()
    this.#daemon = new DaemonProcess(options)
    try {
      await this.#daemon.answers()
      return true
    } catch (error) {
      if (await this.isKilled()) return false
      throw error
    }
  }

  /** Whether the daemon was killed, which a client may know a moment before it is so. */
  async isKilled(): Promise<boolean> {
    const ended = await before(this.daemon.ended(), deathDeadlineMs, () => '').catch(() => undefined)
    return ended?.signal === 'SIGKILL'
  }

  /** Takes away what the daemon had on record, as one does that cannot write it any more. */
  loseRecord(): void {
    this.ledger.isRecordLost = true
    rmSync(join(this.runtimeDir, 'daemon.json'))
  }

  /** Kills the daemon, whatever it does. */
  async kill(): Promise<void> {
    this.daemon.kill('SIGKILL')
    await this.daemon.ended()
  }

  /** One call; what the answer shows is held against what may be so. */
  async call<K extends keyof Methods>(
    method: K,
    parameters: Methods[K]['parameters'],
  ): Promise<Methods[K]['reply']> {
    const reply = await before(call(this.socket, method, parameters), callDeadlineMs, () =>
      this.explain(`no answer to ${method}`),
    )
    if ('state' in reply) this.#show(method, reply.state)
    return reply
  }

  /** From here on a daemon that is to be killed counts its steps. */
  async arm(): Promise<void> {
    await this.call('ListSources', {})
  }

  /** The daemon has done all that was under way when it answers this. */
  async fence(): Promise<State> {
    return (await this.call('GetState', {})).state
  }

  async bump(): Promise<State> {
    this.ledger.bumpsSent++
    const { state } = await this.call('Bump', {})
    this.ledger.bumpsAnswered++
    return state
  }

  /** A name that no restore of this page has had. */
  newRestoreId(): string {
    return `restore ${++this.#restores}`
  }

  /** Resume; with a name, of a copy. */
  async resume(parameters: Methods['Resume']['parameters']): Promise<Methods['Resume']['reply']> {
    if (parameters.restoreId == null) this.ledger.resumedAsOriginal = true
    else this.ledger.restoreId = parameters.restoreId
    return this.call('Resume', parameters)
  }

  /** Quiesce. Who does not look at the answer is not ended by it. */
  askForQuiesce(parameters: Methods['Quiesce']['parameters'] = {}): Promise<Methods['Quiesce']['reply']> {
    this.ledger.quiesceSent = true
    const quiesced = this.call('Quiesce', parameters)
    quiesced.catch(() => undefined)
    return quiesced
  }

  /** Quiesce, while these watchers prepare in their turn. */
  async quiesce(parameters: Methods['Quiesce']['parameters'], prepare: readonly Debtor[]): Promise<State> {
    const quiesced = this.askForQuiesce(parameters)
    for (const watcher of prepare) {
      const { state } = await watcher.until('quiesce')
      await watcher.prepare(this.socket, state.quiesce?.quiesce ?? 0)
    }
    const { state } = await quiesced
    expect(state.phase).toBe('quiesced')
    this.#noteFrozen(state.generation)
    return state
  }

  /** Those who are asked before a snapshot, in the order in which they are. */
  get asked(): Debtor[] {
    return this.watchers.filter(({ beforeSnapshot }) => beforeSnapshot).reverse()
  }

  /** These adjust when they are told, one after another. */
  async adjust(generation: number, watchers: readonly Debtor[] = this.watchers): Promise<void> {
    for (const watcher of watchers) {
      await watcher.untilTold(generation)
      await watcher.adjust(generation)
    }
  }

  async ready(): Promise<State> {
    const { state } = await this.call('Wait', { for: 'ready', timeoutMs: callDeadlineMs })
    expect(state.phase).toBe('running')
    return state
  }

  /** What a new daemon has made of what the last one left: nothing is lost, nobody is frozen, everybody owes what he owed. */
  async recover(again: (trial: Trial) => Promise<void> = async () => undefined): Promise<void> {
    await this.#thawed()
    await again(this)
    const { generation, phase, quiesce } = await this.fence()
    expect(generation, 'no generation is lost').toBeGreaterThanOrEqual(this.#observer?.highest ?? 0)
    expect(quiesce, 'nothing is planned any more').toBeUndefined()
    const registered = this.watchers.filter(({ isIn }) => isIn)
    const owing = registered.filter((watcher) => watcher.tracked && watcher.adjustedTo !== generation)
    const waitedFor = owing.filter((watcher) => !watcher.isSettled(generation))
    if (waitedFor.length > 0) await this.#notReady(phase, waitedFor)
    await this.#comeBack(registered, generation)
    const ready = await this.ready()
    expect(ready, 'nobody owes anything').toMatchObject({ generation, outdatedWatchers: 0, degraded: false })
    await this.#checkRecords(generation)
    await this.#checkWorkload(generation)
    this.#checkFaults()
    const nowUsec = Number((loadNative().addon?.bootTimeNs() ?? 0n) / 1000n)
    this.ledger = new Ledger(generation, nowUsec)
  }

  /** A message, with all that a reader needs to know where the daemon was killed. */
  explain(message: string): string {
    const kills = existsSync(this.#report) ? readFileSync(this.#report, 'utf8').trim().split('\n') : []
    return `${message}\nshown: ${this.#shown.join(', ')}\nkilled: ${kills.slice(-2).join(', ')}\n${this.daemon.log()}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#observer?.[Symbol.dispose]()
    await Promise.all(this.watchers.map((watcher) => watcher.drop()))
    await this.#daemon?.[Symbol.asyncDispose]()
    await this.#workload?.[Symbol.asyncDispose]()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  get #report(): string {
    return join(this.#folder, 'kills')
  }

  async #thawed(): Promise<void> {
    const explain = () => this.explain(`the page says ${this.#observer?.last?.phase}`)
    const within = { deadlineMs: thawDeadlineMs, explain }
    await eventually('nothing is planned', async () => !(await this.fence()).quiesce, within)
    if (!this.#workload) return
    await eventually('the workload is thawed', () => this.#workload?.isFrozen() === false, within)
    await this.#workload.goesOn(explain)
    expect(existsSync(join(this.runtimeDir, 'frozen')), 'the record of what is frozen').toBe(false)
  }

  async #notReady(phase: State['phase'], waitedFor: readonly Debtor[]): Promise<void> {
    const names = waitedFor.map(({ name }) => name).join(', ')
    expect(phase, `${names} owe a confirmation`).toBe('adjusting')
    await expect(this.call('Wait', { for: 'ready', timeoutMs: 1 })).rejects.toThrow('TimedOut')
    const { watchers } = await this.call('ListWatchers', {})
    const owing = watchers.filter(({ owing: what }) => what === 'pending').map(({ name }) => name)
    expect(owing, 'debts').toEqual(expect.arrayContaining(waitedFor.map(({ name }) => name)))
  }

  /** As the library does: with what each last adjusted to, and then the hooks of those who are outdated run. */
  async #comeBack(registered: readonly Debtor[], generation: number): Promise<void> {
    const outdated: Debtor[] = []
    const told = new Set<Debtor>()
    for (const watcher of registered) {
      const owes = watcher.adjustedTo !== generation
      const reply = await watcher.join(this.socket)
      this.#show(`${watcher.name} comes back`, reply.state)
      if (reply.outdated) told.add(watcher)
      if (reply.outdated) expect(owes, `${watcher.name} is outdated`).toBe(true)
      if (owes) outdated.push(watcher)
    }
    for (const watcher of outdated) {
      if (!told.has(watcher)) await watcher.untilTold(generation)
      await watcher.adjust(generation)
    }
  }

  /** What people and the next daemon read is whole. */
  async #checkRecords(generation: number): Promise<void> {
    const { entries } = await this.call('GetLog', {})
    const first = entries[0]?.entry ?? 0
    expect(
      entries.map(({ entry }) => entry),
      'the log has no gap',
    ).toEqual(entries.map((_, index) => first + index))
    expect(entries.filter(({ outcome }) => outcome === 'open')).toEqual([])
    this.ledger.check(generation, entries)
    const lines = readFileSync(join(this.runtimeDir, 'daemon.json'), 'utf8').split('\n')
    expect(lines.pop()).toBe('')
    for (const line of lines) JSON.parse(line)
    expect(this.daemon.log()).not.toMatch(/cannot go on|error:/)
  }

  async #checkWorkload(generation: number): Promise<void> {
    const { frozenAt, resumedAsOriginal } = this.ledger
    if (!this.#workload) return
    await this.#workload.goesOn(() => this.explain('it was thawed'))
    if (!frozenAt) return
    if (generation === frozenAt.generation) {
      expect(resumedAsOriginal, 'thawed as the original').toBe(true)
      return
    }
    const first = this.#workload.firstStepAfter(frozenAt.generation)
    expect(first, 'the first step in the new generation').toBeLessThanOrEqual(frozenAt.step + 1)
  }

  #checkFaults(): void {
    const fault = this.#observer?.fault
    if (fault !== undefined) throw new Error(fault)
  }

  #show(where: string, { generation, phase, generationId }: State): void {
    this.#shown.push(`${where}: ${generation} ${phase}`)
    if (this.#shown.length > maxShown) this.#shown.shift()
    const fault = this.#observer?.note({ generation, phase, id: generationId })
    if (fault !== undefined) throw new Error(`${where}: ${fault}`)
  }

  /** Ready, or on the way to a snapshot, is nobody whose watchers have not adjusted. */
  #judge({ generation, phase }: Pick<State, 'generation' | 'phase'>): string | undefined {
    if (phase === 'quiesced') this.#noteFrozen(generation)
    if (phase === 'adjusting') return undefined
    const waiting = this.watchers.filter((watcher) => !watcher.isSettled(generation))
    if (waiting.length === 0) return undefined
    const names = waiting.map(({ name, adjustedTo }) => `${name} (${adjustedTo})`).join(', ')
    return `${phase} in generation ${generation}, but ${names} have not adjusted`
  }

  #noteFrozen(generation: number): void {
    const step = this.#workload?.step() ?? 0
    this.ledger.frozenAt ??= { generation, step }
  }
}

function configFor(group: string | undefined, grace: string): string {
  const freeze = group === undefined ? 'mode = "off"' : `mode = "on"\ngroups = ["${group}"]`
  // Long enough for the slowest machine: no deadline passes unless a script is about that.
  return `[watchers]\ngrace = "${grace}"\ndeadline = "40s"\n[freeze]\n${freeze}\nsettle = "1ms"\n`
}
