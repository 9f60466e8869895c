import type { ConnectSocketOptions } from './connect-socket.ts'
import type { InterfaceDescription } from './idl/description.ts'

export interface ClientLimits {
  /** Of one reply. */
  readonly maxMessageBytes: number
  /** Calls without an answer; the next one is refused with TooManyCallsError. */
  readonly maxPendingCalls: number
  /** Replies of one stream that its reader has not taken; beyond it the connection is not read. */
  readonly maxBufferedReplies: number
}

export const defaultClientLimits: ClientLimits = {
  // Above every reply to a watcher; who lists thousands of watchers, or the whole log, allows more.
  maxMessageBytes: 4 * 1024 * 1024,
  maxPendingCalls: 256,
  maxBufferedReplies: 64,
}

export interface ClientOptions {
  /** The interface that is called, as this side knows it. */
  readonly description: InterfaceDescription
  readonly limits?: Partial<ClientLimits>
}

export interface ConnectOptions extends ClientOptions, ConnectSocketOptions {}

export interface StreamOptions {
  /** Aborting it closes the connection and makes the call throw the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

export interface CallOptions extends StreamOptions {
  /** Default 30 s; Infinity for a call that waits for something. */
  readonly timeoutMs?: number | undefined
}

export const defaultCallTimeoutMs = 30_000
