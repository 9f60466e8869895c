import type { Duplex } from 'node:stream'
import { answerCall } from './answer-call.ts'
import { ConnectionClosedError, ProtocolViolationError } from './errors.ts'
import { encodeFrame, FrameDecoder } from './frame.ts'
import { HalfFrameTimer } from './half-frame-timer.ts'
import { type CallMessage, parseCall } from './message.ts'
import type { CallChannel } from './server-call.ts'
import { defaultServerLimits, type ServerConnectionOptions, type ServerLimits } from './server-options.ts'

/** So many calls are answered before others get their turn on the event loop. */
const callsPerTurn = 16

/**
 * The service's side of one connection. Owns the socket. Calls are handled strictly one after another and
 * answered in order; `onClose` is called once, after which nothing happens any more.
 *
 * A peer that ends its side is gone for us: the call under way is aborted, calls that wait are dropped. The same
 * goes for a peer that breaks the protocol, which is told so first if `protocolErrorName` is set; since its
 * framing is lost, that reply comes in place of the answers it still expects.
 */
export class ServerConnection {
  readonly #socket: Duplex
  readonly #options: ServerConnectionOptions & { readonly checkReplies: boolean }
  readonly #limits: ServerLimits
  readonly #decoder: FrameDecoder
  readonly #halfFrame: HalfFrameTimer
  readonly #closed: Promise<void>
  #waiting: CallMessage[] = []
  /** The largest reply since the peer had taken all. */
  #largestBytes = 0
  #current: AbortController | undefined
  #working = false
  #paused = false
  #closing = false
  #reason: Error | undefined
  #closeTimer: NodeJS.Timeout | undefined

  constructor(socket: Duplex, options: ServerConnectionOptions) {
    this.#socket = socket
    this.#options = {
      ...options,
      checkReplies: options.checkReplies ?? process.env.NODE_ENV !== 'production',
    }
    this.#limits = { ...defaultServerLimits, ...options.limits }
    this.#decoder = new FrameDecoder(this.#limits)
    this.#halfFrame = new HalfFrameTimer(this.#limits.halfFrameTimeoutMs, (error) => this.#refuse(error))
    this.#closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#onClosed()
        resolve()
      })
    })
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.once('end', () => this.#end())
    // 'close' follows; after we decided to close, errors say nothing new.
    socket.on('error', (error) => {
      if (!this.#closing) this.#reason = error
    })
    if (options.underWay) {
      this.#waiting.push({ ...options.underWay, more: true, oneway: false, upgrade: false })
      void this.#work()
    }
  }

  /** Aborts the call under way, hands over what was written, and resolves when the socket is closed. */
  close(): Promise<void> {
    this.#end()
    return this.#closed
  }

  /**
   * Like close, but the peer does not notice: for a connection that another process has, too, and goes on with. What was
   * written is handed over; what arrives meanwhile is lost.
   */
  detach(): Promise<void> {
    if (this.#closing) return this.#closed
    this.#stop(undefined)
    this.#socket.pause()
    // Not end(): shutdown(2) would end the connection for whoever has it. An empty write ends after all that came before it.
    this.#socket.write('', this.#destroyInTime())
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #onData(chunk: Buffer): void {
    if (this.#closing) return
    const { messages, error } = this.#decoder.push(chunk)
    try {
      for (const message of messages) this.#waiting.push(parseCall(message))
      if (error !== undefined) throw error
    } catch (violation) {
      if (!(violation instanceof ProtocolViolationError)) throw violation
      this.#refuse(violation)
      return
    }
    if (this.#waiting.length > this.#limits.maxPipelinedCalls) {
      this.#paused = true
      this.#socket.pause()
    }
    this.#watchHalfFrame(messages.length > 0)
    void this.#work()
  }

  /** Never rejects: answerCall does not. */
  async #work(): Promise<void> {
    if (this.#working) return
    this.#working = true
    for (let count = 1; ; count++) {
      const message = this.#waiting.shift()
      if (message === undefined) break
      if (this.#paused && this.#waiting.length <= this.#limits.maxPipelinedCalls / 2) this.#unpause()
      if (count % callsPerTurn === 0) await new Promise((resolve) => setImmediate(resolve))
      if (this.#closing) break
      const controller = new AbortController()
      this.#current = controller
      await answerCall(message, this.#channel(controller.signal), this.#options)
      this.#current = undefined
    }
    this.#working = false
  }

  #channel(signal: AbortSignal): CallChannel {
    return { signal, send: (message) => this.#send(message), drained: () => this.#drained() }
  }

  #send(message: object): void {
    if (this.#closing) return
    const frame = encodeFrame(message)
    if (this.#socket.writableLength === 0) this.#largestBytes = 0
    this.#largestBytes = Math.max(this.#largestBytes, frame.length)
    this.#socket.write(frame)
    if (this.#socket.writableLength - this.#largestBytes <= this.#limits.maxOutputBytes) return
    const limit = this.#limits.maxOutputBytes
    this.#stop(
      new ProtocolViolationError(
        'replies-not-read',
        `the peer left more than ${limit} bytes of replies unread`,
      ),
    )
    this.#socket.destroy()
  }

  #drained(): Promise<void> {
    if (this.#closing || !this.#socket.writableNeedDrain) return Promise.resolve()
    return new Promise((resolve) => {
      const done = () => {
        this.#socket.off('drain', done).off('close', done)
        resolve()
      }
      this.#socket.on('drain', done).on('close', done)
    })
  }

  #unpause(): void {
    this.#paused = false
    this.#socket.resume()
    this.#watchHalfFrame(false)
  }

  #watchHalfFrame(frameEnded: boolean): void {
    // While we do not read, the peer is not to blame for the rest of its frame.
    this.#halfFrame.update(this.#decoder.pendingBytes > 0 && !this.#paused, frameEnded)
  }

  #refuse(violation: ProtocolViolationError): void {
    if (this.#closing) return
    const error = this.#options.protocolErrorName
    this.#end(violation, error && encodeFrame({ error, parameters: { reason: violation.message } }))
  }

  /** Stops, and closes the socket when everything written was handed over or the time for that is up. */
  #end(reason?: Error, lastWords?: Buffer | string): void {
    if (this.#closing) return
    this.#stop(reason)
    this.#socket.once('finish', this.#destroyInTime())
    // What still arrives is read and dropped: closing with unread input would cost the peer our last words.
    this.#socket.resume()
    this.#socket.end(lastWords)
  }

  /** What closes the socket; it is done after a time in any case. */
  #destroyInTime(): () => void {
    const destroy = () => void this.#socket.destroy()
    this.#closeTimer = setTimeout(destroy, this.#limits.closeTimeoutMs)
    return destroy
  }

  #stop(reason: Error | undefined): void {
    this.#closing = true
    this.#reason ??= reason
    this.#waiting = []
    this.#halfFrame.update(false, false)
    this.#current?.abort(new ConnectionClosedError(reason ?? 'one side ended it'))
  }

  #onClosed(): void {
    if (!this.#closing) this.#stop(undefined)
    clearTimeout(this.#closeTimer)
    this.#options.onClose?.(this.#reason)
  }
}
