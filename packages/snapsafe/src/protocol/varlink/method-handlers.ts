import type { ServerCall } from './server-call.ts'
import { serviceErrors } from './service-interface.ts'

/** What a generated `Methods` map looks like. */
export type MethodMap<M> = { [K in keyof M]: { parameters: object; reply: object } }

/** One handler per method of an interface. */
export type MethodHandlers<M extends MethodMap<M>> = {
  readonly [K in keyof M]: (call: ServerCall<M[K]['parameters'], M[K]['reply']>) => Promise<void>
}

/**
 * Makes the `dispatch` of a server connection that serves one interface from a table of handlers. A method that
 * the table lacks is answered with MethodNotImplemented.
 */
export function dispatchTo<M extends MethodMap<M>>(
  handlers: Partial<MethodHandlers<M>>,
): (call: ServerCall) => Promise<void> {
  // The parameters were checked against the description that M was generated from, which types cannot show.
  const table = new Map(Object.entries(handlers)) as Map<string, (call: ServerCall) => Promise<void>>
  return async (call) => {
    const handler = table.get(call.method)
    if (handler === undefined) throw serviceErrors.methodNotImplemented(`${call.interface}.${call.method}`)
    await handler(call)
  }
}
