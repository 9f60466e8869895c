import { ProtocolViolationError } from './errors.ts'
import { isJsonObject, type JsonObject } from './json.ts'

/** What a client sends. `method` is fully qualified. */
export interface CallMessage {
  readonly method: string
  readonly parameters: unknown
  readonly more: boolean
  readonly oneway: boolean
  readonly upgrade: boolean
}

/** What a service sends. `error` is fully qualified; with it `parameters` are those of the error. */
export interface ReplyMessage {
  readonly parameters: JsonObject
  readonly continues: boolean
  readonly error: string | undefined
}

/** Missing or null parameters are `{}`; members that are not known here are ignored, as varlink asks. */
export function parseCall(message: JsonObject): CallMessage {
  const { method, parameters } = message
  if (typeof method !== 'string') throw notACall("'method' is not a string")
  const more = flag(message, 'more')
  const oneway = flag(message, 'oneway')
  const upgrade = flag(message, 'upgrade')
  if (more && oneway) throw notACall("'more' and 'oneway' exclude each other")
  return { method, parameters: parameters ?? {}, more, oneway, upgrade }
}

/** Missing or null parameters are `{}`. */
export function parseReply(message: JsonObject): ReplyMessage {
  const { error } = message
  const parameters = message.parameters ?? {}
  const continues = message.continues ?? false
  if (!isJsonObject(parameters)) throw notAReply("'parameters' is not an object")
  if (typeof continues !== 'boolean') throw notAReply("'continues' is not a boolean")
  if (error !== undefined && error !== null && typeof error !== 'string') {
    throw notAReply("'error' is not a string")
  }
  return { parameters, continues, error: error ?? undefined }
}

function flag(message: JsonObject, name: 'more' | 'oneway' | 'upgrade'): boolean {
  const value = message[name] ?? false
  if (typeof value !== 'boolean') throw notACall(`'${name}' is not a boolean`)
  return value
}

function notACall(why: string): ProtocolViolationError {
  return new ProtocolViolationError('not-a-call', `a message is not a varlink call: ${why}`)
}

function notAReply(why: string): ProtocolViolationError {
  return new ProtocolViolationError('not-a-reply', `a message is not a varlink reply: ${why}`)
}
