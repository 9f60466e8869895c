import { DaemonLink } from './daemon-link.ts'
import type { Methods, State, WatchEvent } from './interface.generated.ts'
import { startPause } from './pause.ts'
import type { VarlinkClient } from './varlink/client.ts'

const confirmRetryMs = 100
const confirmTimeoutMs = 10_000
const maxConfirmAttempts = 5
/** Whoever leaves does not wait for more: the daemon finds out by itself, only later. */
const leaveTimeoutMs = 1000
/** Answers to a confirmation that stay the same however often it is asked. */
const finalRefusals: ReadonlySet<string | undefined> = new Set([
  'NoSuchWatcher',
  'NotOwner',
  'StaleGeneration',
  'StaleQuiesce',
])

export interface WatchLinkOptions {
  /** The daemon's socket. */
  readonly path: string
  readonly name: string
  readonly tracked: boolean
  /** Asked at each connection. */
  readonly deadlineMs: () => number | undefined
  /** The generation that the watcher last adjusted to; asked at each connection. Undefined: whatever is current. */
  readonly adjustedTo: () => number | undefined
  /** What else the daemon is to know. */
  readonly about?: Pick<Methods['Watch']['parameters'], 'stage' | 'beforeSnapshot' | 'registeredAtUsec'>
  /** Told of each event, in order; `outdated` as the daemon sees it. */
  readonly onEvent: (event: WatchEvent, state: State, outdated: boolean) => void
  /** Told when the connection is there, with undefined, and when it is lost or cannot be had, with why. */
  readonly onLink: (problem: Error | undefined) => void
}

/**
 * A watcher at the daemon that connects again whenever the connection is lost, with growing pauses, until it is closed. It
 * does not keep the process alive, but for a confirmation on its way and for `hold`. Whatever was missed meanwhile is told
 * by the `registered` event of the next connection.
 */
export class WatchLink {
  readonly #options: WatchLinkOptions
  readonly #link: DaemonLink
  #watcher: string | undefined
  #leaving = false

  constructor(options: WatchLinkOptions) {
    this.#options = options
    this.#link = new DaemonLink({
      path: options.path,
      use: (client, established) => this.#watch(client, established),
      onLost: (problem) => {
        if (this.#leaving) this.close()
        else options.onLink(problem)
      },
    })
  }

  /**
   * Confirms a generation, or says with `failure` that it could not be adjusted to. Resolves to false where the daemon does
   * not take it: the connection is gone (the next one says what was adjusted to), or the generation is of the past.
   */
  confirm(generation: number, failure?: string): Promise<boolean> {
    return this.#answer('Confirm', { generation, ...(failure !== undefined && { failure }) })
  }

  /** Says that the watcher has prepared for a planned snapshot, or why there must be none. Resolves as `confirm` does. */
  confirmQuiesce(quiesce: number, veto?: string): Promise<boolean> {
    return this.#answer('ConfirmQuiesce', { quiesce, ...(veto !== undefined && { veto }) })
  }

  async #answer<K extends 'Confirm' | 'ConfirmQuiesce'>(
    method: K,
    answer: Omit<Methods[K]['parameters'], 'watcher'>,
  ): Promise<boolean> {
    const watcher = this.#watcher
    for (let attempt = 1; watcher !== undefined && watcher === this.#watcher; attempt++) {
      try {
        await this.#callOnce(method, { watcher, ...answer }, confirmTimeoutMs)
        return true
      } catch (error) {
        const { generationErrorName } = await import('./interface.ts')
        if (finalRefusals.has(generationErrorName(error)) || attempt === maxConfirmAttempts) return false
      }
      // Not all at once: after a restore, every watcher of the machine is at it.
      const ms = confirmRetryMs * 2 ** attempt * (0.5 + Math.random())
      await startPause(ms, this.#link.closed).over
    }
    return false
  }

  /** Keeps the process alive until the daemon has registered the watcher, whether or not there is a daemon. */
  hold(): void {
    this.#link.hold()
  }

  /** Closes, after telling the daemon once that the watcher owes nothing any more, because it will not come back. */
  leave(): void {
    const watcher = this.#watcher
    if (watcher === undefined) {
      this.close()
      return
    }
    this.#leaving = true
    const close = () => this.close()
    void this.#callOnce('Leave', { watcher }, leaveTimeoutMs, true).then(close, close)
  }

  /** The watcher owes nothing from now on, if it has confirmed. Who has not leaves. */
  close(): void {
    this.#link.close()
  }

  async #watch(client: VarlinkClient<Methods>, established: () => void): Promise<void> {
    const { name, tracked, deadlineMs, adjustedTo, about, onEvent, onLink } = this.#options
    const parameters = {
      ...about,
      name,
      tracked,
      ...optional('deadlineMs', deadlineMs()),
      ...optional('adjustedTo', adjustedTo()),
    }
    try {
      for await (const reply of client.stream('Watch', parameters, { signal: this.#link.closed })) {
        if (this.#leaving) continue
        if (reply.event === 'registered') {
          established()
          this.#watcher = reply.watcher
          onLink(undefined)
        }
        onEvent(reply.event, reply.state, reply.outdated)
      }
    } finally {
      this.#watcher = undefined
    }
  }

  async #callOnce<K extends 'Confirm' | 'ConfirmQuiesce' | 'Leave'>(
    method: K,
    parameters: object,
    timeoutMs: number,
    unref = false,
  ): Promise<void> {
    // Replies come in the order of calls, and the reply to Watch never ends; so this goes by a connection of its own.
    const client = await this.#link.connect()
    if (unref) client.unref()
    try {
      await client.call(method, parameters as Methods[K]['parameters'], { timeoutMs })
    } finally {
      void client.close()
    }
  }
}

function optional<K extends string>(key: K, value: number | undefined): { [key in K]?: number } {
  return value === undefined ? {} : ({ [key]: value } as { [key in K]: number })
}
