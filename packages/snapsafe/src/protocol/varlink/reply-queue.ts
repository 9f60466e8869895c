import { ConnectionClosedError, ProtocolViolationError, VarlinkError } from './errors.ts'
import type { DecodedFrames } from './frame.ts'
import { checkValue } from './idl/check-value.ts'
import type { InterfaceDescription } from './idl/description.ts'
import { InvalidValueError } from './idl/invalid-value-error.ts'
import type { JsonObject } from './json.ts'
import { parseReply } from './message.ts'
import type { PendingReply } from './pending-reply.ts'

interface Entry {
  readonly call: PendingReply
  readonly description: InterfaceDescription
}

/** The unanswered calls of a connection in the order they were sent, which is the order of the replies. */
export class ReplyQueue {
  readonly #entries: Entry[] = []

  get size(): number {
    return this.#entries.length
  }

  add(call: PendingReply, description: InterfaceDescription): void {
    this.#entries.push({ call, description })
  }

  /** Takes a call out; false if it is not waiting any more. */
  remove(call: PendingReply): boolean {
    const index = this.#entries.findIndex((entry) => entry.call === call)
    if (index !== -1) this.#entries.splice(index, 1)
    return index !== -1
  }

  /** Gives each message to the call it answers. Returns what is wrong with the first one that is wrong. */
  take(frames: DecodedFrames): ProtocolViolationError | undefined {
    try {
      for (const message of frames.messages) this.#answer(message)
      return frames.error
    } catch (error) {
      if (error instanceof ProtocolViolationError) return error
      throw error
    }
  }

  /** Ends all calls. A broken protocol is told to the call whose answer was expected, the rest learn the cause. */
  failAll(why: Error | string): void {
    for (const [index, { call }] of this.#entries.splice(0).entries()) {
      const first = index === 0 && why instanceof ProtocolViolationError
      call.fail(first ? why : new ConnectionClosedError(why, call.name))
    }
  }

  #answer(message: JsonObject): void {
    const reply = parseReply(message)
    const entry = this.#entries[0]
    if (entry === undefined) throw unexpected('a reply came to which there was no call')
    const { call, description } = entry
    if (reply.error !== undefined) {
      this.#entries.shift()
      call.fail(new VarlinkError(reply.error, reply.parameters))
      return
    }
    if (reply.continues && !call.more)
      throw unexpected(`${call.name} was answered in parts, but asked for one`)
    const options = { path: `${call.name} reply`, unknownFields: 'ignore' } as const
    try {
      checkValue(description, call.method.reply, reply.parameters, options)
    } catch (cause) {
      if (!(cause instanceof InvalidValueError)) throw cause
      throw new ProtocolViolationError(
        'invalid-reply',
        `the service's reply is invalid: ${cause.message}`,
        cause,
      )
    }
    if (!reply.continues) this.#entries.shift()
    call.accept(reply.parameters, reply.continues)
  }
}

function unexpected(message: string): ProtocolViolationError {
  return new ProtocolViolationError('unexpected-reply', message)
}
