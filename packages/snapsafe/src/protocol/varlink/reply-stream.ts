import { ConnectionClosedError } from './errors.ts'
import type { IdlMethod } from './idl/description.ts'
import type { JsonObject } from './json.ts'
import type { PendingReply } from './pending-reply.ts'

interface ReplyStreamOptions {
  readonly name: string
  readonly method: IdlMethod
  readonly signal?: AbortSignal | undefined
  /** Replies kept for a slow reader; beyond it the connection is not read, up to the rest of one read chunk. */
  readonly maxBuffered: number
  readonly pause: () => void
  readonly resume: () => void
  /** The reader wants no more; the connection cannot be used further. */
  readonly onGiveUp: (stream: PendingReply, error: unknown) => void
}

/**
 * The replies to one call, in order, for one reader. All that arrived before a failure are read before it is
 * thrown, except after an abort, which is thrown at once.
 */
export class ReplyStream<Reply> implements PendingReply, AsyncIterable<Reply> {
  readonly name: string
  readonly method: IdlMethod
  readonly more = true
  readonly #options: ReplyStreamOptions
  readonly #buffered: JsonObject[] = []
  readonly #onAbort: () => void
  #failure: { readonly error: unknown } | undefined
  #ended = false
  #paused = false
  #taken = false
  #wake: () => void = () => {}

  constructor(options: ReplyStreamOptions) {
    this.name = options.name
    this.method = options.method
    this.#options = options
    this.#onAbort = () => {
      this.#buffered.length = 0
      options.onGiveUp(this, options.signal?.reason)
    }
    options.signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  accept(parameters: JsonObject, continues: boolean): void {
    this.#buffered.push(parameters)
    if (!continues) this.#end()
    else if (this.#buffered.length >= this.#options.maxBuffered && !this.#paused) {
      this.#paused = true
      this.#options.pause()
    }
    this.#wake()
  }

  fail(error: unknown): void {
    this.#failure = { error }
    this.#end()
    this.#wake()
  }

  /** May be called once. Leaving the loop early closes the connection. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Reply, void, undefined> {
    if (this.#taken) throw new TypeError(`the replies to ${this.name} are being read already`)
    this.#taken = true
    try {
      for (;;) {
        const reply = this.#buffered.shift()
        if (this.#buffered.length <= this.#options.maxBuffered / 2) this.#resume()
        // The reply was checked against the description that its type was generated from.
        if (reply !== undefined) yield reply as Reply
        else if (this.#failure !== undefined) throw this.#failure.error
        else if (this.#ended) return
        else await this.#more()
      }
    } finally {
      if (!this.#ended) {
        this.#options.onGiveUp(
          this,
          new ConnectionClosedError('the reader of a stream left it before its end'),
        )
      }
    }
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  #resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#options.resume()
  }

  #end(): void {
    this.#ended = true
    // What follows is for other calls.
    this.#resume()
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
  }
}
