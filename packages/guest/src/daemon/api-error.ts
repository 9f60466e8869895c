import { type Errors, interfaceName, VarlinkError } from 'snapsafe/protocol'

type ShortName<Name> = Name extends `${typeof interfaceName}.${infer Short}` ? Short : never

/** An error of the interface, to be thrown by a method. */
export function apiError<K extends ShortName<keyof Errors>>(
  name: K,
  parameters: Errors[`${typeof interfaceName}.${K}`],
): VarlinkError {
  return new VarlinkError(`${interfaceName}.${name}`, parameters)
}
