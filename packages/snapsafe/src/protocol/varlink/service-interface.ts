import { VarlinkError } from './errors.ts'
import { parseInterface } from './idl/parse-interface.ts'

/** What GetInfo tells about the implementation, next to the names of its interfaces. */
export interface ServiceInfo {
  readonly vendor: string
  readonly product: string
  readonly version: string
  readonly url: string
}

/** The interface every varlink service has (https://varlink.org/Service). */
export const serviceInterface = parseInterface(`\
# The Varlink Service Interface is provided by every varlink service. It
# describes the service and the interfaces it implements.
interface org.varlink.service

# Get a list of all the interfaces a service provides and information
# about the implementation.
method GetInfo() -> (
  vendor: string,
  product: string,
  version: string,
  url: string,
  interfaces: []string
)

# Get the description of an interface that is implemented by this service.
method GetInterfaceDescription(interface: string) -> (description: string)

# The requested interface was not found.
error InterfaceNotFound(interface: string)

# The requested method was not found.
error MethodNotFound(method: string)

# The interface defines the requested method, but the service does not
# implement it.
error MethodNotImplemented(method: string)

# One of the passed parameters is invalid.
error InvalidParameter(parameter: string)

# Client is denied access.
error PermissionDenied()

# Method is expected to be called with 'more' set to true, but was not.
error ExpectedMore()
`)

/** The errors of org.varlink.service, to be thrown by a handler. */
export const serviceErrors = {
  interfaceNotFound: (name: string) => serviceError('InterfaceNotFound', { interface: name }),
  /** `method` is fully qualified here and below. */
  methodNotFound: (method: string) => serviceError('MethodNotFound', { method }),
  methodNotImplemented: (method: string) => serviceError('MethodNotImplemented', { method }),
  /** `parameter` is the path within the parameters: `name`, `watchers[2].pid`. */
  invalidParameter: (parameter: string) => serviceError('InvalidParameter', { parameter }),
  permissionDenied: () => serviceError('PermissionDenied', {}),
  expectedMore: () => serviceError('ExpectedMore', {}),
} as const

function serviceError(name: string, parameters: object): VarlinkError {
  return new VarlinkError(`${serviceInterface.name}.${name}`, parameters)
}
