import type { Duplex } from 'node:stream'
import {
  type CallOptions,
  type ClientLimits,
  type ClientOptions,
  type ConnectOptions,
  defaultCallTimeoutMs,
  defaultClientLimits,
  type StreamOptions,
} from './client-options.ts'
import { connectSocket } from './connect-socket.ts'
import { ConnectionClosedError, TooManyCallsError } from './errors.ts'
import { encodeFrame, FrameDecoder } from './frame.ts'
import type { IdlMethod, InterfaceDescription } from './idl/description.ts'
import type { MethodMap } from './method-handlers.ts'
import { PendingCall } from './pending-call.ts'
import type { PendingReply } from './pending-reply.ts'
import { ReplyQueue } from './reply-queue.ts'
import { ReplyStream } from './reply-stream.ts'
import { type ServiceInfo, serviceInterface } from './service-interface.ts'

/**
 * The caller's side of one connection, for one interface, whose generated `Methods` map is `M`.
 *
 * Calls may be made without waiting for earlier ones; the service answers them in order, so a call after a
 * stream waits until the stream has ended. Varlink cannot cancel: when a caller gives up a call under way (time
 * out, abort, leaving the loop over a stream) the connection is closed and all other calls are rejected with a
 * ConnectionClosedError. An error reply ends only its own call.
 */
export class VarlinkClient<M extends MethodMap<M>> {
  /** Resolves when the socket is closed: with undefined after `close`, else with the reason. */
  readonly closed: Promise<Error | undefined>
  readonly #stream: Duplex & { ref?(): unknown; unref?(): unknown }
  readonly #description: InterfaceDescription
  readonly #limits: ClientLimits
  readonly #pending = new ReplyQueue()
  /** Set when the connection is of no more use. */
  #end: { readonly why: Error | string } | undefined

  /** Takes over an open stream and its errors. */
  static fromDuplex<M extends MethodMap<M>>(stream: Duplex, options: ClientOptions): VarlinkClient<M> {
    return new VarlinkClient<M>(stream, options)
  }

  /** @throws ConnectError, VarlinkTimeoutError, or the signal's reason. The signal is for connecting only. */
  static async connect<M extends MethodMap<M>>(
    path: string,
    options: ConnectOptions,
  ): Promise<VarlinkClient<M>> {
    return new VarlinkClient<M>(await connectSocket(path, options), options)
  }

  private constructor(stream: Duplex, options: ClientOptions) {
    this.#stream = stream
    this.#description = options.description
    this.#limits = { ...defaultClientLimits, ...options.limits }
    const decoder = new FrameDecoder(this.#limits)
    stream.on('data', (chunk: Buffer) => {
      if (this.#end !== undefined) return
      const error = this.#pending.take(decoder.push(chunk))
      if (error !== undefined) this.#fail(error)
    })
    stream.on('error', (error) => this.#fail(error))
    stream.once('end', () => this.#fail(new ConnectionClosedError('the service ended the connection')))
    this.closed = new Promise((resolve) => {
      stream.once('close', () => {
        this.#fail(new ConnectionClosedError('the stream was closed'))
        resolve(this.#end?.why instanceof Error ? this.#end.why : undefined)
      })
    })
  }

  /**
   * Calls a method and resolves with its reply, which is of the declared type but may have more fields.
   *
   * @throws VarlinkError for an error reply; ConnectionClosedError; VarlinkTimeoutError; ProtocolViolationError;
   * TooManyCallsError; the signal's reason.
   */
  async call<K extends keyof M & string>(
    method: K,
    parameters: M[K]['parameters'],
    options: CallOptions = {},
  ): Promise<M[K]['reply']> {
    return this.#call(this.#description, method, parameters, options)
  }

  /** What the service says about itself and which interfaces it has. Rejects as `call` does. */
  async getInfo(
    options: CallOptions = {},
  ): Promise<ServiceInfo & { readonly interfaces: readonly string[] }> {
    return (await this.#call(serviceInterface, 'GetInfo', {}, options)) as never
  }

  /**
   * Calls a method with `more`, at once, and returns its replies for one `for await`; it ends after the reply
   * that no other follows. The loop throws what `call` rejects with. There is no timeout.
   *
   * @throws at once if the signal is aborted already.
   */
  stream<K extends keyof M & string>(
    method: K,
    parameters: M[K]['parameters'],
    options: StreamOptions = {},
  ): AsyncIterable<M[K]['reply']> {
    options.signal?.throwIfAborted()
    const target = lookUp(this.#description, method)
    const frame = encodeFrame({ method: target.name, parameters, more: true })
    const replies = new ReplyStream<M[K]['reply']>({
      ...target,
      signal: options.signal,
      maxBuffered: this.#limits.maxBufferedReplies,
      pause: () => this.#stream.pause(),
      resume: () => this.#stream.resume(),
      onGiveUp: (stream, error) => this.#giveUp(stream, error),
    })
    this.#send(replies, target, frame)
    return replies
  }

  /** The connection alone no longer keeps the process running. Without effect on a stream that has no `unref`. */
  unref(): void {
    this.#stream.unref?.()
  }

  ref(): void {
    this.#stream.ref?.()
  }

  /** Rejects the calls under way with ConnectionClosedError and resolves when the socket is closed. */
  async close(): Promise<void> {
    this.#fail('this side closed it')
    await this.closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #call(description: InterfaceDescription, method: string, parameters: object, options: CallOptions) {
    options.signal?.throwIfAborted()
    const target = lookUp(description, method)
    const frame = encodeFrame({ method: target.name, parameters })
    const call = new PendingCall({
      ...target,
      timeoutMs: options.timeoutMs ?? defaultCallTimeoutMs,
      signal: options.signal,
      onGiveUp: (call, error) => this.#giveUp(call, error),
    })
    this.#send(call, target, frame)
    return call.result
  }

  #send(call: PendingReply, target: Target, frame: Buffer): void {
    const limit = this.#limits.maxPendingCalls
    const why = this.#end?.why
    if (why !== undefined || this.#pending.size >= limit) {
      call.fail(why === undefined ? new TooManyCallsError(limit) : new ConnectionClosedError(why, call.name))
      return
    }
    this.#pending.add(call, target.description)
    this.#stream.write(frame)
  }

  #giveUp(call: PendingReply, error: unknown): void {
    if (!this.#pending.remove(call)) return
    call.fail(error)
    this.#fail(error instanceof Error ? error : new ConnectionClosedError('a call was aborted', call.name))
  }

  #fail(why: Error | string): void {
    if (this.#end !== undefined) return
    this.#end = { why }
    this.#stream.destroy()
    this.#pending.failAll(why)
  }
}

interface Target {
  readonly name: string
  readonly method: IdlMethod
  readonly description: InterfaceDescription
}

function lookUp(description: InterfaceDescription, methodName: string): Target {
  const method = description.methods.get(methodName)
  const name = `${description.name}.${methodName}`
  if (method === undefined) throw new TypeError(`${name} is not a method of the interface this client knows`)
  return { name, method, description }
}
