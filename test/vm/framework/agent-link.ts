import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { LineSplitter, unixConnect, type Wait, withDeadline } from '../../../packages/host/src/index.ts'

const maxLineBytes = 64 * 1024 * 1024
const maxPending = 64
/** QEMU's socket closes a moment before its end is seen; whoever sees it has more to say than "closed". */
const explainGraceMs = 1_000

/** The agent in the guest carried out a request and it failed there. */
export class AgentError extends Error {
  readonly code = 'ERR_SNAPSAFE_VM_AGENT'
  override readonly name = 'AgentError'
  /** The `code` of the error in the guest, such as `ENOENT`. */
  readonly guestCode: string | undefined

  constructor(operation: string, message: string, guestCode: string | undefined) {
    super(`${operation} in the guest: ${message}`)
    this.guestCode = guestCode
  }
}

interface Pending {
  operation: string
  resolve: (value: unknown) => void
  reject: (error: Error) => void
}

/**
 * The host's end of the conversation with a guest's agent. Requests overlap; each is answered by its id. Ids are unique to
 * the connection, so that a clone's answers to what its source was asked are nobody's.
 */
export class AgentLink {
  readonly #socket: Socket
  readonly #splitter = new LineSplitter(maxLineBytes)
  readonly #pending = new Map<string, Pending>()
  readonly #prefix = randomBytes(6).toString('hex')
  #lastId = 0
  #lost: Error | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.on('error', () => {})
    socket.on('close', () => {
      const reason = new Error('QEMU closed the connection to the agent')
      setTimeout(() => this.fail(reason), explainGraceMs).unref()
    })
  }

  /** Connects; that the agent listens is only known once a request is answered. */
  static async connect(path: string, wait: Wait): Promise<AgentLink> {
    return new AgentLink(await unixConnect(path, wait))
  }

  /** Ends a line that may be left over from an earlier connection. To be sent first. */
  async resync(wait: Wait): Promise<void> {
    this.#socket.write('\n')
    await this.request('resync', {}, wait)
  }

  /** Resolves with the operation's result; rejects with `AgentError` if it failed in the guest. */
  async request(operation: string, args: Record<string, unknown>, wait: Wait): Promise<unknown> {
    if (this.#lost) throw this.#lost
    if (this.#pending.size >= maxPending)
      throw new RangeError(`more than ${maxPending} requests to a guest in flight`)
    const id = `${this.#prefix}-${++this.#lastId}`
    try {
      return await withDeadline(`${operation} in the guest`, wait, () => {
        return new Promise((resolve, reject) => {
          this.#pending.set(id, { operation, resolve, reject })
          this.#socket.write(`${JSON.stringify({ ...args, id, op: operation })}\n`)
        })
      })
    } finally {
      this.#pending.delete(id)
    }
  }

  /** Ends the connection; whatever is pending, or asked later, rejects with `reason`. The first reason stays. */
  fail(reason: Error): void {
    if (this.#lost) return
    this.#lost = reason
    this.#socket.destroy()
    for (const pending of this.#pending.values()) pending.reject(reason)
  }

  #onData(chunk: Buffer): void {
    let lines: string[]
    try {
      lines = this.#splitter.push(chunk)
    } catch (error) {
      this.fail(error as Error)
      return
    }
    for (const line of lines) this.#onLine(line)
  }

  #onLine(line: string): void {
    let message: { id?: unknown; result?: unknown; error?: { message: string; code?: string } }
    try {
      message = JSON.parse(line)
    } catch {
      // The end of an answer that was on its way when the snapshot was taken.
      return
    }
    const pending = this.#pending.get(String(message.id))
    if (!pending) return
    if (!message.error) pending.resolve(message.result)
    else pending.reject(new AgentError(pending.operation, message.error.message, message.error.code))
  }
}
