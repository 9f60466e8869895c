import type { NativeAddon } from 'snapsafe/native'
import type { Running } from 'snapsafe/protocol'
import type { OrchestratorEvent } from '../orchestrator/events.ts'
import type { DeadlinePolicy, WatcherRecord } from '../orchestrator/watcher-table.ts'
import type { KernelRandomDoor } from '../system/kernel-random.ts'
import type { Log } from './log.ts'
import { printable } from './printable.ts'

const maxDetailChars = 1000

type EndingPolicy = Extract<DeadlinePolicy, 'restart' | 'kill'>

/** What the state machine's wishes are carried out with. */
export interface EffectDoors {
  readonly addon: NativeAddon
  readonly kernelRandom: KernelRandomDoor
  readonly memory: { wipe(): { readonly regions: number; readonly failures: readonly Error[] } }
  readonly freezer: {
    freeze(options: {
      callerPid: number
      signal: AbortSignal
    }): Promise<{ readonly frozen: readonly string[]; readonly running: readonly Running[] }>
    thaw(): void
  }
  /** Restarts or kills the process of a watcher; rejects with why it cannot. */
  readonly enforce: (watcher: WatcherRecord, policy: EndingPolicy) => Promise<void>
  readonly log: Log
}

interface EffectsOptions extends EffectDoors {
  /** Takes the answer. */
  readonly dispatch: (event: OrchestratorEvent) => void
  readonly nowUsec: () => number
  readonly isClosed: () => boolean
}

/** The effects that go through a door of the operating system; those that take time answer with an event. */
export class Effects {
  readonly #options: EffectsOptions
  #freezing: AbortController | undefined

  constructor(options: EffectsOptions) {
    this.#options = options
  }

  wipeMemory(): void {
    const { regions, failures } = this.#options.memory.wipe()
    if (regions > 0) this.#options.log.info(`wiped ${regions} regions of protected memory`)
    for (const failure of failures) this.#options.log.error(failure.message)
  }

  /** Answers with `kernel-unique`. Rejects where no id can be drawn: nothing can be shown without one. */
  async makeKernelUnique(attempt: number, kernelReseeded: boolean): Promise<void> {
    const { kernelRandom: door, log, addon, dispatch, nowUsec } = this.#options
    // With bytes of the host for this copy, what the kernel has done by itself is not all that can be done.
    const made =
      kernelReseeded && !door.hasSeed
        ? { kernelRandom: 'kernel' as const, detail: 'the kernel reseeded itself' }
        : await door.makeUnique()
    // Nobody is told any more, and what is needed for it is being closed.
    if (this.#options.isClosed()) return
    const bad = made.kernelRandom === 'unproven' || made.kernelRandom === 'failed'
    log[bad ? 'error' : 'info'](`kernel random generator: ${made.detail}`)
    addon.reseedOpenSSL()
    const { kernelRandom } = made
    const generationId = door.drawId()
    dispatch({ type: 'kernel-unique', nowUsec: nowUsec(), attempt, kernelRandom, generationId })
  }

  /** Answers with `frozen` or `not-frozen`. */
  async freeze(quiesce: number, callerPid: number): Promise<void> {
    const { freezer, log, dispatch, nowUsec } = this.#options
    const ended = new AbortController()
    this.#freezing = ended
    try {
      const { frozen, running: named } = await freezer.freeze({ callerPid, signal: ended.signal })
      // Names of processes are in it, and those may be anything.
      const running = named.map(({ group, why }) => ({ group, why: printable(why, maxDetailChars) }))
      for (const { group, why } of running) log.warning(`not frozen: ${group}: ${why}`)
      log.info(`frozen: ${frozen.join(', ') || 'nothing'}`)
      dispatch({ type: 'frozen', nowUsec: nowUsec(), quiesce, frozen, running })
    } catch (error) {
      const detail = printable((error as Error).message, maxDetailChars)
      dispatch({ type: 'not-frozen', nowUsec: nowUsec(), quiesce, detail })
    }
  }

  /** Lets everything run that may be frozen, or is being frozen, now. */
  thaw(): void {
    this.giveUpFreezing('the planned snapshot is over')
    this.#options.freezer.thaw()
  }

  giveUpFreezing(why: string): void {
    this.#freezing?.abort(new Error(why))
  }

  /** Answers with `not-enforced`, where it cannot be done. */
  async enforce(watcher: WatcherRecord, policy: EndingPolicy): Promise<void> {
    const { enforce, log, dispatch, nowUsec } = this.#options
    const who = `${watcher.name} (pid ${watcher.owner.pid})`
    log.warning(`${who} has not adjusted: ${policy}`)
    try {
      await enforce(watcher, policy)
    } catch (error) {
      // What systemctl says is in it.
      const detail = printable((error as Error).message, maxDetailChars)
      log.error(`cannot ${policy} ${who}: ${detail}`)
      dispatch({ type: 'not-enforced', nowUsec: nowUsec(), id: watcher.id, detail })
    }
  }
}
