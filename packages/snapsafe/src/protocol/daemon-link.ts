import type { Methods } from './interface.generated.ts'
import { startPause } from './pause.ts'
import type { VarlinkClient } from './varlink/client.ts'

const firstRetryMs = 100
/** Under the time that a daemon which died while it was adjusting gives its watchers to come back (2.5 s). */
const lastRetryMs = 1500
const connectTimeoutMs = 5000

export interface DaemonLinkOptions {
  /** The daemon's socket. */
  readonly path: string
  /** Given each connection, which is closed when the promise settles. Calls `established` when the daemon has said yes. */
  readonly use: (client: VarlinkClient<Methods>, established: () => void) => Promise<void>
  /** Told when the connection is lost or cannot be had, with why; not after `close`. */
  readonly onLost: (problem: Error) => void
}

/**
 * A connection to the daemon that is made again whenever it is lost, with growing pauses, until it is closed. It does not
 * keep the process alive, but for `hold`.
 */
export class DaemonLink {
  readonly #options: DaemonLinkOptions
  readonly #closed = new AbortController()
  #client: VarlinkClient<Methods> | undefined
  #isEstablished = false
  #retryMs = firstRetryMs
  #retryTimer: NodeJS.Timeout | undefined
  #held = false

  /** Nothing is called before the constructor has returned. */
  constructor(options: DaemonLinkOptions) {
    this.#options = options
    void this.#run()
  }

  /** Aborted when the link is closed. */
  get closed(): AbortSignal {
    return this.#closed.signal
  }

  /** Another connection to the same daemon, which is the caller's. Rejects as VarlinkClient.connect does. */
  async connect(): Promise<VarlinkClient<Methods>> {
    // Loaded when the first one connects: a process that only checks the page does not pay for the protocol.
    const { connectToDaemon } = await import('./interface.ts')
    return connectToDaemon(this.#options.path, { signal: this.closed, connectTimeoutMs })
  }

  /** Keeps the process alive until the link is established, whether or not there is a daemon. */
  hold(): void {
    if (this.closed.aborted || this.#isEstablished) return
    this.#held = true
    this.#client?.ref()
    this.#retryTimer?.ref()
  }

  close(): void {
    this.#closed.abort()
    void this.#client?.close()
  }

  async #run(): Promise<void> {
    while (!this.closed.aborted) {
      let problem: Error
      try {
        await this.#useOnce()
        problem = new Error('the daemon closed the connection')
      } catch (error) {
        problem = error as Error
      }
      void this.#client?.close()
      this.#isEstablished = false
      if (this.closed.aborted) return
      this.#options.onLost(problem)
      await this.#pauseBeforeRetry()
      this.#retryMs = Math.min(lastRetryMs, this.#retryMs * 2)
    }
  }

  async #useOnce(): Promise<void> {
    const client = await this.connect()
    this.#client = client
    if (!this.#held) client.unref()
    await this.#options.use(client, () => {
      this.#isEstablished = true
      this.#held = false
      client.unref()
      this.#retryMs = firstRetryMs
    })
  }

  #pauseBeforeRetry(): Promise<void> {
    const { timer, over } = startPause(this.#retryMs, this.closed)
    if (this.#held) timer.ref()
    this.#retryTimer = timer
    return over
  }
}
