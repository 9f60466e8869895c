import { VarlinkError } from './errors.ts'
import { checkValue } from './idl/check-value.ts'
import type { InterfaceDescription } from './idl/description.ts'
import { InvalidValueError } from './idl/invalid-value-error.ts'
import type { JsonObject } from './json.ts'
import type { CallMessage } from './message.ts'
import { type CallChannel, OpenCall } from './server-call.ts'
import type { ServerConnectionOptions } from './server-options.ts'
import { serviceErrors, serviceInterface } from './service-interface.ts'

/**
 * Carries out one call: finds the method, checks the parameters, lets the handler answer, turns what it throws
 * into an error reply. Never rejects, and unless the call is oneway or the peer gone, one final reply was sent
 * when it resolves.
 */
export async function answerCall(
  message: CallMessage,
  channel: CallChannel,
  options: ServerConnectionOptions & { readonly checkReplies: boolean },
): Promise<void> {
  let call: OpenCall | undefined
  try {
    call = openCall(message, channel, options)
    if (call.interface === serviceInterface.name) answerService(call, options)
    else await options.dispatch(call)
    if (call.answered || call.oneway || channel.signal.aborted) return
    throw new TypeError(`the handler of ${message.method} ended without a reply`)
  } catch (thrown) {
    // A handler that stops because its peer left did what it should.
    if (channel.signal.aborted && (thrown === channel.signal.reason || isAbortError(thrown))) return
    const answered = call?.answered ?? false
    const { reply, bug } = errorReply(thrown, options)
    if (bug !== undefined || answered) options.onInternalError(bug ?? thrown, message.method)
    if (!answered && !message.oneway) channel.send(reply)
  }
}

function openCall(
  message: CallMessage,
  channel: CallChannel,
  options: ServerConnectionOptions & { readonly checkReplies: boolean },
): OpenCall {
  const { method: fullName, parameters } = message
  const dot = fullName.lastIndexOf('.')
  if (dot === -1) throw serviceErrors.methodNotFound(fullName)
  const interfaceName = fullName.slice(0, dot)
  const description = findInterface(interfaceName, options)
  if (description === undefined) throw serviceErrors.interfaceNotFound(interfaceName)
  const method = description.methods.get(fullName.slice(dot + 1))
  if (method === undefined) throw serviceErrors.methodNotFound(fullName)
  // We never hand the connection over to another protocol.
  if (message.upgrade) throw serviceErrors.methodNotImplemented(fullName)
  try {
    checkValue(description, method.parameters, parameters, { path: 'parameters', unknownFields: 'refuse' })
  } catch (error) {
    if (!(error instanceof InvalidValueError)) throw error
    throw serviceErrors.invalidParameter(error.path.replace(/^parameters\./, ''))
  }
  if (method.more === 'required' && !message.more) throw serviceErrors.expectedMore()
  const checked = { ...message, parameters: parameters as JsonObject }
  return new OpenCall({ description, method }, checked, channel, options.checkReplies)
}

function answerService(call: OpenCall, options: ServerConnectionOptions): void {
  const all = [serviceInterface, ...options.interfaces]
  if (call.method === 'GetInfo') {
    call.reply({ ...options.service, interfaces: all.map(({ name }) => name) })
    return
  }
  const wanted = String(call.parameters.interface)
  const description = all.find(({ name }) => name === wanted)
  if (description === undefined) throw serviceErrors.interfaceNotFound(wanted)
  call.reply({ description: description.text })
}

function findInterface(name: string, options: ServerConnectionOptions): InterfaceDescription | undefined {
  return [serviceInterface, ...options.interfaces].find((description) => description.name === name)
}

/** The reply for what was thrown. `bug` is set when it was not meant for the peer, who then learns no details. */
function errorReply(
  thrown: unknown,
  options: ServerConnectionOptions & { readonly checkReplies: boolean },
): { readonly reply: object; readonly bug?: unknown } {
  const internal = { error: options.internalErrorName, parameters: {} }
  if (!(thrown instanceof VarlinkError)) return { reply: internal, bug: thrown }
  const reply = { error: thrown.name, parameters: thrown.parameters }
  if (!options.checkReplies) return { reply }
  const dot = thrown.name.lastIndexOf('.')
  const description = findInterface(thrown.name.slice(0, dot), options)
  const declared = description?.errors.get(thrown.name.slice(dot + 1))
  if (description === undefined || declared === undefined) {
    return { reply: internal, bug: new TypeError(`no interface declares ${thrown.name}`, { cause: thrown }) }
  }
  try {
    const options = { path: thrown.name, unknownFields: 'refuse' } as const
    checkValue(description, declared.parameters, thrown.parameters, options)
    return { reply }
  } catch (bug) {
    return { reply: internal, bug }
  }
}

function isAbortError(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === 'AbortError'
}
