import { defaultMaxMessageBytes } from './frame.ts'
import type { InterfaceDescription } from './idl/description.ts'
import type { ServerCall } from './server-call.ts'
import type { ServiceInfo } from './service-interface.ts'

/** What one peer may cost. */
export interface ServerLimits {
  /** Of one call. */
  readonly maxMessageBytes: number
  /** Calls that wait for their turn; beyond it the socket is not read, up to the rest of one read chunk. */
  readonly maxPipelinedCalls: number
  /** From the first byte of a call to its NUL, while we read. */
  readonly halfFrameTimeoutMs: number
  /**
   * Replies that the peer has not taken; beyond it the peer is disconnected. The largest of them does not count: one reply may
   * be of any size.
   */
  readonly maxOutputBytes: number
  /** How long a closing connection may take to hand over what was written. */
  readonly closeTimeoutMs: number
}

export const defaultServerLimits: ServerLimits = {
  maxMessageBytes: defaultMaxMessageBytes,
  // A client of ours has one or two calls under way; 64 lets a script pipeline freely.
  maxPipelinedCalls: 64,
  // A call is one write on a local socket; over a slow virtio-serial port it still takes well under a second.
  halfFrameTimeoutMs: 5_000,
  // Hundreds of replies of usual size: room for a peer that is busy, not for one that has stopped reading.
  maxOutputBytes: 1024 * 1024,
  closeTimeoutMs: 1_000,
}

export interface ServerConnectionOptions {
  /** What is served, besides org.varlink.service, which is built in. */
  readonly interfaces: readonly InterfaceDescription[]
  readonly service: ServiceInfo
  /**
   * Answers one call whose method exists and whose parameters are valid. A rejection with a VarlinkError is sent
   * as that error; any other is sent as `internalErrorName`, without its text, and given to `onInternalError`.
   */
  readonly dispatch: (call: ServerCall) => Promise<void>
  /** Fully qualified: `io.snapsafe.Generation.Internal`. Sent without parameters. */
  readonly internalErrorName: string
  /** Fully qualified; sent with `{ reason: string }` before a peer that broke the protocol is disconnected. */
  readonly protocolErrorName?: string
  /** A bug of ours: what was thrown, and by the handler of which method (fully qualified). */
  readonly onInternalError: (error: unknown, method: string) => void
  /**
   * A call, fully qualified and with `more`, that came on this connection before it was ours, and is not answered to its
   * end: it is handled as if its frame had just come.
   */
  readonly underWay?: { readonly method: string; readonly parameters: object }
  /** Called once, when the socket is closed. `reason` is undefined if one side simply closed. */
  readonly onClose?: (reason: Error | undefined) => void
  readonly limits?: Partial<ServerLimits>
  /**
   * Checks our own replies and errors against the description; a wrong one becomes an internal error.
   * Default: unless NODE_ENV is 'production'.
   */
  readonly checkReplies?: boolean
}
