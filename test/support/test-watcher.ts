import { connectToDaemon, type Methods, type State, type VarlinkClient } from 'snapsafe/protocol'
import { before } from './daemon-process.ts'

const eventDeadlineMs = 15_000

type WatchReply = Methods['Watch']['reply']

/** A watcher of the test's own process: a client as an application has it. */
export class TestWatcher {
  /** What it is called by. */
  readonly id: string
  /** The `registered` event. */
  readonly registered: WatchReply
  readonly #socket: string
  readonly #client: VarlinkClient<Methods>
  readonly #events: AsyncIterator<WatchReply>

  static async join(
    socket: string,
    parameters: Partial<Methods['Watch']['parameters']> = {},
  ): Promise<TestWatcher> {
    const client = await connectToDaemon(socket, {})
    try {
      const replies = client.stream('Watch', { name: 'test', ...parameters })
      const events = replies[Symbol.asyncIterator]()
      const first = await before(events.next(), eventDeadlineMs, () => 'the watcher was not registered')
      return new TestWatcher(socket, client, events, first.value)
    } catch (error) {
      await client.close()
      throw error
    }
  }

  private constructor(
    socket: string,
    client: VarlinkClient<Methods>,
    events: AsyncIterator<WatchReply>,
    registered: WatchReply,
  ) {
    this.id = registered.watcher
    this.registered = registered
    this.#socket = socket
    this.#client = client
    this.#events = events
  }

  /** The next event. Rejects when the connection ends, and after a deadline. */
  async next(): Promise<WatchReply> {
    const { value, done } = await before(this.#events.next(), eventDeadlineMs, () => 'no event came')
    if (done) throw new Error('the daemon ended the watch')
    return value
  }

  /** The next event of this kind. */
  async until(event: WatchReply['event']): Promise<WatchReply> {
    for (;;) {
      const reply = await this.next()
      if (reply.event === event) return reply
    }
  }

  /** Resolves when a new generation of the daemon has reached it: it is served as ever. */
  async isServed(): Promise<void> {
    const { generation } = await bump(this.#socket)
    for (;;) {
      const { state } = await this.until('generation')
      if (state.generation === generation) return
    }
  }

  /** Confirms, on a connection of its own as Varlink wants it. */
  async confirm(generation: number, failure?: string): Promise<void> {
    const parameters = { watcher: this.id, generation, ...(failure !== undefined && { failure }) }
    await call(this.#socket, 'Confirm', parameters)
  }

  /** Leaves. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close()
  }
}

/** One call on a connection of its own. */
export async function call<K extends keyof Methods>(
  socket: string,
  method: K,
  parameters: Methods[K]['parameters'],
): Promise<Methods[K]['reply']> {
  await using client = await connectToDaemon(socket, {})
  return await client.call(method, parameters)
}

export async function bump(socket: string, reason?: string): Promise<State> {
  return (await call(socket, 'Bump', reason === undefined ? {} : { reason })).state
}

export async function stateOf(socket: string): Promise<State> {
  return (await call(socket, 'GetState', {})).state
}
