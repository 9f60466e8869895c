import { isUtf8 } from 'node:buffer'
import { ProtocolViolationError } from './errors.ts'
import { isJsonObject, type JsonObject } from './json.ts'
import { nestsDeeperThan } from './nesting.ts'

/** No call of ours comes near it; a server keeps at most this much of an unfinished message per connection. */
export const defaultMaxMessageBytes = 64 * 1024
/** Foreign objects are walked by recursion later (JSON.stringify, validators), which must not exhaust the stack. */
const maxMessageDepth = 64
/** First size of the buffer for an unfinished message; it doubles from here, so copying stays linear. */
const firstBufferBytes = 512

/** What one chunk completed, in order. `error` is set when what follows `messages` is not a message. */
export interface DecodedFrames {
  readonly messages: JsonObject[]
  readonly error?: ProtocolViolationError
}

/** One message with its terminating NUL. NUL inside a string is escaped by JSON, so there is exactly one. */
export function encodeFrame(message: object): Buffer {
  return Buffer.from(`${JSON.stringify(message)}\0`)
}

/**
 * Cuts a byte stream into messages, however it was chunked, in time linear to its length. After an error the
 * framing is lost and every later push answers with the same error. Of duplicate keys the last one counts.
 */
export class FrameDecoder {
  readonly #maxMessageBytes: number
  #buffer = Buffer.alloc(0)
  #length = 0
  #error: ProtocolViolationError | undefined

  constructor(options: { readonly maxMessageBytes?: number } = {}) {
    this.#maxMessageBytes = options.maxMessageBytes ?? defaultMaxMessageBytes
  }

  /** Bytes of a message whose end has not arrived. */
  get pendingBytes(): number {
    return this.#length
  }

  /** The chunk is not kept. */
  push(chunk: Uint8Array): DecodedFrames {
    const messages: JsonObject[] = []
    if (this.#error !== undefined) return { messages, error: this.#error }
    try {
      let start = 0
      for (let end = chunk.indexOf(0); end !== -1; end = chunk.indexOf(0, start)) {
        messages.push(parseMessage(this.#complete(chunk.subarray(start, end))))
        start = end + 1
      }
      this.#append(chunk.subarray(start))
      return { messages }
    } catch (error) {
      if (!(error instanceof ProtocolViolationError)) throw error
      this.#error = error
      this.#buffer = Buffer.alloc(0)
      this.#length = 0
      return { messages, error }
    }
  }

  #complete(last: Uint8Array): Uint8Array {
    this.#checkSize(last)
    if (this.#length === 0) return last
    this.#append(last)
    const message = this.#buffer.subarray(0, this.#length)
    this.#buffer = Buffer.alloc(0)
    this.#length = 0
    return message
  }

  #append(part: Uint8Array): void {
    if (part.length === 0) return
    this.#checkSize(part)
    const needed = this.#length + part.length
    if (needed > this.#buffer.length) {
      const grown = Buffer.alloc(Math.max(needed, this.#buffer.length * 2, firstBufferBytes))
      this.#buffer.copy(grown, 0, 0, this.#length)
      this.#buffer = grown
    }
    this.#buffer.set(part, this.#length)
    this.#length = needed
  }

  #checkSize(part: Uint8Array): void {
    if (this.#length + part.length <= this.#maxMessageBytes) return
    const limit = this.#maxMessageBytes
    throw new ProtocolViolationError(
      'frame-too-large',
      `a message is larger than ${limit} bytes; send less at once`,
    )
  }
}

function parseMessage(bytes: Uint8Array): JsonObject {
  if (!isUtf8(bytes)) throw new ProtocolViolationError('not-utf8', 'a message is not UTF-8')
  if (nestsDeeperThan(bytes, maxMessageDepth)) {
    throw new ProtocolViolationError('too-deep', `a message nests deeper than ${maxMessageDepth} levels`)
  }
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))
  } catch (cause) {
    throw new ProtocolViolationError('not-json', 'a message is not JSON followed by one NUL byte', cause)
  }
  if (!isJsonObject(value))
    throw new ProtocolViolationError('not-an-object', 'a message is not a JSON object')
  return value
}
