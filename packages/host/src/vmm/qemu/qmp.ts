import { EventEmitter, once } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Wait, withDeadline } from '../../deadline.ts'
import { LineSplitter } from './line-splitter.ts'
import { QmpCommandError, QmpConnectionError } from './qemu-errors.ts'
import { type QmpEvent, readQmpMessage } from './qmp-message.ts'
import { unixConnect } from './unix-connect.ts'

const defaultTimeoutMs = 10_000
const statusPollMs = 5
/** The largest answers of QEMU (its schema) are below 1 MiB; a longer line is not QMP. */
const maxMessageBytes = 8 * 1024 * 1024
/** Commands in flight; the driver needs one or two. */
const maxPending = 64

interface Pending {
  command: string
  resolve: (value: unknown) => void
  reject: (error: Error) => void
}

/**
 * A QMP connection that has negotiated its capabilities. Commands may overlap; each is answered by its id. Once the
 * connection is lost, or carried something that is not QMP, every pending and later call rejects with
 * `QmpConnectionError`; it never recovers.
 */
export class QmpClient implements AsyncDisposable {
  readonly #path: string
  readonly #socket: Socket
  readonly #splitter = new LineSplitter(maxMessageBytes)
  readonly #pending = new Map<number, Pending>()
  readonly #emitter = new EventEmitter().setMaxListeners(maxPending)
  #lastId = 0
  #lost: QmpConnectionError | undefined

  private constructor(path: string, socket: Socket) {
    this.#path = path
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.on('error', (error) => this.#fail(error.message))
    socket.on('close', () => this.#fail('QEMU closed it'))
  }

  /**
   * Connects, waiting for the socket to appear, reads the greeting and negotiates. The deadline, 10 s if not given,
   * covers all three.
   */
  static async connect(options: { path: string } & Partial<Wait>): Promise<QmpClient> {
    const wait = { timeoutMs: options.timeoutMs ?? defaultTimeoutMs, signal: options.signal }
    return await withDeadline(`QMP at ${options.path}`, wait, async (signal) => {
      const client = new QmpClient(options.path, await unixConnect(options.path, { ...wait, signal }))
      signal.addEventListener('abort', () => client.#fail('gave up'), { once: true })
      try {
        await client.#waitFor('greeting', wait)
        await client.execute('qmp_capabilities', {}, wait)
        return client
      } catch (error) {
        client.#fail('the negotiation failed')
        throw error
      }
    })
  }

  /**
   * Runs one command and resolves with its `return` value. Rejects with `QmpCommandError` if QEMU refuses it, with
   * `DeadlineError` if there is no answer within 10 s or `wait.timeoutMs`; the command may have been carried out then.
   */
  async execute(
    command: string,
    args: Record<string, unknown> = {},
    wait: Partial<Wait> = {},
  ): Promise<unknown> {
    if (this.#lost) throw this.#lost
    if (this.#pending.size >= maxPending)
      throw new RangeError(`more than ${maxPending} QMP commands in flight`)
    const id = ++this.#lastId
    const timed = { timeoutMs: wait.timeoutMs ?? defaultTimeoutMs, signal: wait.signal }
    try {
      return await withDeadline(`QMP ${command}`, timed, () => {
        return new Promise((resolve, reject) => {
          this.#pending.set(id, { command, resolve, reject })
          this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`)
        })
      })
    } finally {
      this.#pending.delete(id)
    }
  }

  /** Resolves with the next event of this name. Call it before the command that causes the event. */
  async waitForEvent(name: string, wait: Wait): Promise<QmpEvent> {
    return (await this.#waitFor(`event ${name}`, wait)) as QmpEvent
  }

  /** Resolves once `query-status` says `status` (`running`, `paused`, `inmigrate` …). */
  async waitForStatus(status: string, wait: Wait): Promise<void> {
    await withDeadline(`waiting for QEMU to be ${status}`, wait, async (signal) => {
      while ((await this.status({ timeoutMs: wait.timeoutMs, signal })) !== status) {
        await sleep(statusPollMs, undefined, { signal })
      }
    })
  }

  /** The run state as `query-status` has it. */
  async status(wait: Partial<Wait> = {}): Promise<string> {
    return ((await this.execute('query-status', {}, wait)) as { status: string }).status
  }

  /** Drops the connection; pending calls reject. Calling it again does nothing. */
  async close(): Promise<void> {
    this.#fail('it was closed')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #waitFor(name: string, wait: Wait): Promise<unknown> {
    if (this.#lost) throw this.#lost
    return await withDeadline(`QMP ${name}`, wait, async (signal) => {
      const [value] = await once(this.#emitter, name, { signal })
      return value
    })
  }

  #onData(chunk: Buffer): void {
    try {
      for (const line of this.#splitter.push(chunk)) if (line.trim() !== '') this.#onLine(line)
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error))
    }
  }

  #onLine(line: string): void {
    const message = readQmpMessage(line)
    if (message.kind === 'greeting') this.#emitter.emit('greeting')
    else if (message.kind === 'event') this.#emitter.emit(`event ${message.event.event}`, message.event)
    else {
      // An answer that nobody waits for belongs to a command whose deadline has passed.
      const pending = this.#pending.get(message.id)
      if (!pending) return
      if (message.kind === 'return') pending.resolve(message.value)
      else pending.reject(new QmpCommandError(pending.command, message.errorClass, message.description))
    }
  }

  #fail(reason: string): void {
    if (this.#lost) return
    this.#lost = new QmpConnectionError(`QMP connection ${this.#path} is unusable: ${reason}`)
    this.#socket.destroy()
    for (const pending of this.#pending.values()) pending.reject(this.#lost)
    // Everyone who waits for an event listens, through events.once, to `error` as well.
    if (this.#emitter.listenerCount('error') > 0) this.#emitter.emit('error', this.#lost)
  }
}
