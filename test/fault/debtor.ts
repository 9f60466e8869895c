import { generationErrorName, type Methods } from 'snapsafe/protocol'
import { call, TestWatcher } from '../support/test-watcher.ts'

type Parameters = Partial<Methods['Watch']['parameters']> & { readonly name: string }
type Event = Methods['Watch']['reply']

/** A watcher of the test that comes back as the library's do: with its name, and with what it last adjusted to. */
export class Debtor {
  readonly name: string
  readonly tracked: boolean
  readonly beforeSnapshot: boolean
  /** The generation that it last adjusted to, whether or not the daemon has taken its confirmation. */
  adjustedTo: number
  /** It has asked to be registered, and not to leave. */
  isIn = false
  /** It is waited for: a daemon has said that it is registered, and it has not left. */
  isRegistered = false
  /** Its deadline is so short that it may pass at any moment. */
  mayBeLate = false
  #failedAt: number | undefined
  readonly #parameters: Parameters
  #watcher: TestWatcher | undefined

  constructor(parameters: Parameters, adjustedTo: number) {
    this.name = parameters.name
    this.tracked = parameters.tracked ?? false
    this.beforeSnapshot = parameters.beforeSnapshot ?? false
    this.adjustedTo = adjustedTo
    this.#parameters = parameters
  }

  /** Registers; resolves with what the daemon says of it. */
  async join(socket: string): Promise<Event> {
    await this.drop()
    const { adjustedTo } = this
    this.isIn = true
    this.#watcher = await TestWatcher.join(socket, { registeredAtUsec: 0, ...this.#parameters, adjustedTo })
    this.isRegistered = true
    return this.#watcher.registered
  }

  /** Whether a guest of this generation can be ready as far as this one goes. */
  isSettled(generation: number): boolean {
    if (!this.tracked || !this.isRegistered) return true
    return this.adjustedTo >= generation || this.#failedAt === generation || this.mayBeLate
  }

  /** The next event of this kind. */
  until(event: Event['event']): Promise<Event> {
    return this.#joined.until(event)
  }

  /** Resolves when it is told of this generation. */
  async untilTold(generation: number): Promise<void> {
    for (;;) {
      const { state } = await this.until('generation')
      if (state.generation >= generation) return
    }
  }

  /** Adjusts to a generation, and confirms it; or says why it cannot. */
  async adjust(generation: number, failure?: string): Promise<void> {
    if (failure === undefined) this.adjustedTo = generation
    else this.#failedAt = generation
    try {
      await this.#joined.confirm(generation, failure)
    } catch (error) {
      // Another restore has come meanwhile.
      if (generationErrorName(error) !== 'StaleGeneration') throw error
    }
  }

  /** Says that it has prepared for a planned snapshot, or why there must be none. */
  async prepare(socket: string, quiesce: number, veto?: string): Promise<void> {
    const parameters = { watcher: this.#joined.id, quiesce, ...(veto !== undefined && { veto }) }
    await call(socket, 'ConfirmQuiesce', parameters)
  }

  /** Leaves for good. */
  async leave(socket: string): Promise<void> {
    this.isIn = false
    this.isRegistered = false
    await call(socket, 'Leave', { watcher: this.#joined.id })
    await this.drop()
  }

  /** Closes its connection, and says nothing. */
  async drop(): Promise<void> {
    await this.#watcher?.[Symbol.asyncDispose]()
    this.#watcher = undefined
  }

  get #joined(): TestWatcher {
    if (!this.#watcher) throw new Error(`${this.name} is not registered`)
    return this.#watcher
  }
}
