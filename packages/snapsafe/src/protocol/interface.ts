import { interfaceName, interfaceText, type Methods } from './interface.generated.ts'
import { VarlinkClient } from './varlink/client.ts'
import type { ClientLimits } from './varlink/client-options.ts'
import type { ConnectSocketOptions } from './varlink/connect-socket.ts'
import { VarlinkError } from './varlink/errors.ts'
import type { InterfaceDescription } from './varlink/idl/description.ts'
import { parseInterface } from './varlink/idl/parse-interface.ts'

let parsed: InterfaceDescription | undefined

/** io.snapsafe.Generation. Parsed at the first use, so that importing this costs a process nothing. */
export function generationInterface(): InterfaceDescription {
  parsed ??= parseInterface(interfaceText)
  return parsed
}

/** A connection to the daemon. Rejects as VarlinkClient.connect does. */
export function connectToDaemon(
  path: string,
  options: ConnectSocketOptions & { readonly limits?: Partial<ClientLimits> },
): Promise<VarlinkClient<Methods>> {
  return VarlinkClient.connect<Methods>(path, { ...options, description: generationInterface() })
}

/** The name of an error of the interface without its prefix, for instance `StaleGeneration`; undefined for any other. */
export function generationErrorName(error: unknown): string | undefined {
  const prefix = `${interfaceName}.`
  if (!(error instanceof VarlinkError) || !error.name.startsWith(prefix)) return undefined
  return error.name.slice(prefix.length)
}
