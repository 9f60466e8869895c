import { checkValue } from './idl/check-value.ts'
import type { IdlMethod, InterfaceDescription } from './idl/description.ts'
import type { JsonObject } from './json.ts'
import type { CallMessage } from './message.ts'

/**
 * One call as its handler sees it. Exactly one `reply` (or a thrown VarlinkError) ends it; the next call of the
 * connection starts when the handler's promise settles. Once the peer is gone `signal` is aborted and replies go
 * nowhere; a handler that waits must listen to it.
 */
export interface ServerCall<Parameters extends object = JsonObject, Reply extends object = object> {
  /** `io.snapsafe.Generation` */
  readonly interface: string
  /** Without the interface: `Watch`. */
  readonly method: string
  /** Of the declared type. */
  readonly parameters: Parameters
  /** The caller takes several replies. */
  readonly more: boolean
  /** The caller takes no reply; replies and errors are dropped. */
  readonly oneway: boolean
  /** Aborted with a ConnectionClosedError. */
  readonly signal: AbortSignal
  /** The last reply. Throws if the call was answered already. */
  reply(parameters: Reply): void
  /** A reply that others follow. Throws if the caller did not ask for `more`. */
  replyContinues(parameters: Reply): void
  /**
   * Resolves when the peer has taken what was sent so far, or is gone. Who sends many replies awaits it, because
   * a peer that has too much unread output is disconnected.
   */
  drained(): Promise<void>
}

/** What a call needs of its connection. `send` drops the message when the peer is gone. */
export interface CallChannel {
  readonly signal: AbortSignal
  send(message: object): void
  drained(): Promise<void>
}

/** The connection's side of a ServerCall. */
export class OpenCall implements ServerCall {
  readonly interface: string
  readonly method: string
  readonly parameters: JsonObject
  readonly more: boolean
  readonly oneway: boolean
  readonly #channel: CallChannel
  readonly #checkReply: ((parameters: object) => void) | undefined
  #answered = false

  constructor(
    target: { readonly description: InterfaceDescription; readonly method: IdlMethod },
    message: CallMessage & { readonly parameters: JsonObject },
    channel: CallChannel,
    checkReplies: boolean,
  ) {
    this.interface = target.description.name
    this.method = target.method.name
    this.parameters = message.parameters
    this.more = message.more
    this.oneway = message.oneway
    this.#channel = channel
    if (checkReplies) {
      this.#checkReply = (parameters) =>
        checkValue(target.description, target.method.reply, parameters, {
          path: 'reply',
          unknownFields: 'refuse',
        })
    }
  }

  get signal(): AbortSignal {
    return this.#channel.signal
  }

  get answered(): boolean {
    return this.#answered
  }

  reply(parameters: object): void {
    this.#send({ parameters })
    this.#answered = true
  }

  replyContinues(parameters: object): void {
    if (!this.more) throw new TypeError(`${this.method} was called without 'more'; it takes one reply only`)
    this.#send({ parameters, continues: true })
  }

  drained(): Promise<void> {
    return this.#channel.drained()
  }

  #send(message: { readonly parameters: object; readonly continues?: true }): void {
    if (this.#answered) throw new TypeError(`${this.method} has been answered already`)
    this.#checkReply?.(message.parameters)
    if (!this.oneway) this.#channel.send(message)
  }
}
