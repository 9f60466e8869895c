import {
  DeadlineError,
  describeExit,
  type QemuMachine,
  takeQemuSnapshot,
  type Wait,
} from '../../../packages/host/src/index.ts'
import { AgentLink } from './agent-link.ts'
import { GuestAgent } from './guest-agent.ts'
import { GuestDiedError } from './guest-errors.ts'
import { GuestSnapshot } from './guest-snapshot.ts'
import { logTail, type WorkFolder } from './work-folder.ts'

/** The port that the agent in the guest opens. */
export const agentPortName = 'snapsafe.agent'

const connectTimeoutMs = 5_000
const resumeTimeoutMs = 30_000
const snapshotTimeoutMs = 60_000

/**
 * A running guest. If it dies, everything pending rejects at once with `GuestDiedError`, which has the end of the console
 * log. `close()` ends it; the work folder stays if something failed.
 */
export class Guest extends GuestAgent implements AsyncDisposable {
  readonly machine: QemuMachine
  /** The VMGenID that this process was given. */
  readonly vmgenid: string
  readonly #work: WorkFolder
  readonly #link: AgentLink
  #endExpected = false
  #closing: Promise<void> | undefined

  private constructor(machine: QemuMachine, work: WorkFolder, link: AgentLink) {
    super()
    this.machine = machine
    this.vmgenid = machine.options.vmgenid ?? ''
    this.#work = work
    this.#link = link
    work.use()
    void machine.exited.then(async (exit) => {
      if (this.#endExpected) return
      work.keep()
      link.fail(await GuestDiedError.describe(`the guest's QEMU ${describeExit(exit)}`, machine, work))
    })
  }

  /**
   * Takes over a QEMU process: connects to the agent's port. The agent may not be there yet. If it rejects, it has ended
   * the process.
   */
  static async attach(machine: QemuMachine, work: WorkFolder, signal?: AbortSignal): Promise<Guest> {
    const path = machine.portSocketPath(agentPortName)
    try {
      return new Guest(machine, work, await AgentLink.connect(path, { timeoutMs: connectTimeoutMs, signal }))
    } catch (error) {
      await machine.close()
      throw error
    }
  }

  protected get link(): AgentLink {
    return this.#link
  }

  protected override onSilence(): void {
    this.#work.keep()
  }

  /** The folder with the logs; it goes away with the guest unless something failed or `keepFolder` was called. */
  get folder(): string {
    return this.#work.path
  }

  /** Keeps the folder, for a look at the logs after a failed assertion. */
  keepFolder(): void {
    this.#work.keep()
  }

  /** The host's end of one of the `ports`, a unix socket on which QEMU listens for one connection. */
  portSocketPath(name: string): string {
    return this.machine.portSocketPath(name)
  }

  /** The end of the serial console's log. */
  async consoleTail(): Promise<string> {
    return await logTail(this.machine.consoleLogPath)
  }

  /** Stops the virtual CPUs. */
  async pause(): Promise<void> {
    await this.machine.pause()
  }

  /** Lets the virtual CPUs run and resolves when the agent answers. */
  async resume(wait: Partial<Wait> = {}): Promise<void> {
    await this.machine.resume(wait)
    await this.untilReady({ timeoutMs: wait.timeoutMs ?? resumeTimeoutMs, signal: wait.signal })
  }

  /** Resolves when the agent answers; a failure says what the console shows. */
  async untilReady(wait: Wait): Promise<void> {
    try {
      await this.#link.resync(wait)
    } catch (error) {
      this.#work.keep()
      if (!(error instanceof DeadlineError)) throw error
      throw await GuestDiedError.describe(
        `the agent did not answer within ${wait.timeoutMs} ms`,
        this.machine,
        this.#work,
      )
    }
  }

  /** Takes a snapshot of the guest as it is and ends it: from then on there are only clones. */
  async snapshot(wait: Partial<Wait> = {}): Promise<GuestSnapshot> {
    const folder = await this.#work.part('s')
    this.#endExpected = true
    try {
      const snapshot = await takeQemuSnapshot(this.machine, { folder, timeoutMs: snapshotTimeoutMs, ...wait })
      return new GuestSnapshot(snapshot, this.#work, Guest.attach)
    } catch (error) {
      this.#work.keep()
      throw error
    } finally {
      await this.close()
    }
  }

  /** Ends the guest. Calling it again gives the same promise. */
  async close(): Promise<void> {
    this.#closing ??= this.#end()
    await this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #end(): Promise<void> {
    this.#endExpected = true
    this.#link.fail(new Error('the guest was closed'))
    await this.machine.close()
    await this.#work.release()
  }
}
