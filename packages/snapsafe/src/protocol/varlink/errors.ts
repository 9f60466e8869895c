import type { JsonObject } from './json.ts'

/**
 * An error reply. A client throws it with what the service sent, which is not checked against the description; a
 * server's handler throws it to answer with it. `name` is that of the varlink error, fully qualified.
 */
export class VarlinkError extends Error {
  override readonly name: string
  readonly code = 'ERR_SNAPSAFE_VARLINK_REMOTE'
  readonly parameters: JsonObject

  constructor(name: string, parameters: object = {}) {
    super(`the service answered ${name} ${JSON.stringify(parameters)}`)
    this.name = name
    this.parameters = parameters as JsonObject
  }
}

/** Nobody listens, or we may not connect. `errno` is the system's name for it (ENOENT, ECONNREFUSED, EACCES). */
export class ConnectError extends Error {
  override readonly name = 'ConnectError'
  readonly code = 'ERR_SNAPSAFE_VARLINK_CONNECT_FAILED'
  readonly path: string
  readonly errno: string

  constructor(path: string, cause: NodeJS.ErrnoException) {
    const errno = cause.code ?? 'unknown error'
    super(
      `cannot connect to ${path}: ${errno}; see that the service runs and that you may write to its socket`,
      {
        cause,
      },
    )
    this.path = path
    this.errno = errno
  }
}

/** The connection ended before the answer came. Whether the call was carried out is not known. */
export class ConnectionClosedError extends Error {
  override readonly name = 'ConnectionClosedError'
  readonly code = 'ERR_SNAPSAFE_VARLINK_CONNECTION_CLOSED'

  /** Why, without the advice. */
  readonly why: string

  constructor(why: string | Error, call?: string) {
    const cause = typeof why === 'string' ? undefined : why
    const text = typeof why === 'string' ? why : why instanceof ConnectionClosedError ? why.why : why.message
    const subject = call === undefined ? '' : `${call}: `
    super(`${subject}the connection is closed: ${text}; connect again`, cause === undefined ? {} : { cause })
    this.why = text
  }
}

/** No answer within the time the caller gave. Whether the call was or will be carried out is not known. */
export class VarlinkTimeoutError extends Error {
  override readonly name = 'VarlinkTimeoutError'
  readonly code = 'ERR_SNAPSAFE_VARLINK_TIMEOUT'

  constructor(what: string, timeoutMs: number) {
    super(
      `${what}: no answer within ${timeoutMs} ms; the connection is closed, connect again or allow more time`,
    )
  }
}

/** The client has as many unanswered calls as it may; wait for some of them. */
export class TooManyCallsError extends Error {
  override readonly name = 'TooManyCallsError'
  readonly code = 'ERR_SNAPSAFE_VARLINK_TOO_MANY_CALLS'

  constructor(limit: number) {
    super(`${limit} calls wait for an answer on this connection already; await some before the next`)
  }
}

export type ProtocolViolation =
  | 'frame-too-large'
  | 'not-utf8'
  | 'not-json'
  | 'not-an-object'
  | 'too-deep'
  | 'half-frame'
  | 'not-a-call'
  | 'replies-not-read'
  | 'not-a-reply'
  | 'unexpected-reply'
  | 'invalid-reply'

/** The peer does not speak varlink as agreed. The connection is of no more use and is closed. */
export class ProtocolViolationError extends Error {
  override readonly name = 'ProtocolViolationError'
  readonly code = 'ERR_SNAPSAFE_VARLINK_PROTOCOL_VIOLATION'
  readonly violation: ProtocolViolation

  constructor(violation: ProtocolViolation, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause })
    this.violation = violation
  }
}
