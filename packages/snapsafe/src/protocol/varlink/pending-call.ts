import { VarlinkTimeoutError } from './errors.ts'
import type { IdlMethod } from './idl/description.ts'
import type { JsonObject } from './json.ts'
import type { PendingReply } from './pending-reply.ts'

interface PendingCallOptions {
  readonly name: string
  readonly method: IdlMethod
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
  /** The caller waits no longer; the connection cannot be used further. */
  readonly onGiveUp: (call: PendingReply, error: unknown) => void
}

/** A call with one reply, as a promise with a deadline. */
export class PendingCall implements PendingReply {
  readonly name: string
  readonly method: IdlMethod
  readonly more = false
  readonly result: Promise<JsonObject>
  readonly #signal: AbortSignal | undefined
  readonly #onAbort: () => void
  readonly #timer: NodeJS.Timeout | undefined
  #resolve: (reply: JsonObject) => void = () => {}
  #reject: (error: unknown) => void = () => {}

  constructor(options: PendingCallOptions) {
    const { name, signal, timeoutMs, onGiveUp } = options
    this.name = name
    this.method = options.method
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#signal = signal
    this.#onAbort = () => onGiveUp(this, signal?.reason)
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    if (timeoutMs !== Number.POSITIVE_INFINITY) {
      this.#timer = setTimeout(() => onGiveUp(this, new VarlinkTimeoutError(name, timeoutMs)), timeoutMs)
      // The socket decides whether the process stays; a deadline must not.
      this.#timer.unref()
    }
  }

  accept(parameters: JsonObject): void {
    this.#settle()
    this.#resolve(parameters)
  }

  fail(error: unknown): void {
    this.#settle()
    this.#reject(error)
  }

  #settle(): void {
    clearTimeout(this.#timer)
    this.#signal?.removeEventListener('abort', this.#onAbort)
  }
}
