export * from './interface.generated.ts'
export { connectToDaemon, generationErrorName, generationInterface } from './interface.ts'
export {
  openPage,
  PageBusyError,
  PageClosedError,
  PageForeignError,
  type PageReader,
  type PageSnapshot,
  PageUnavailableError,
} from './page.ts'
export { createOrContinuePage, type OpenedPage, type PageChange, type PageWriter } from './page-writer.ts'
export { defaultRuntimeDir, pageName, pagePath, runtimeDirOf, socketName, socketPath } from './paths.ts'
export type { VarlinkClient } from './varlink/client.ts'
export {
  ConnectError,
  ConnectionClosedError,
  ProtocolViolationError,
  VarlinkError,
  VarlinkTimeoutError,
} from './varlink/errors.ts'
export { dispatchTo, type MethodHandlers } from './varlink/method-handlers.ts'
export type { ServerCall } from './varlink/server-call.ts'
export { ServerConnection } from './varlink/server-connection.ts'
export type { ServiceInfo } from './varlink/service-interface.ts'
export { serviceErrors } from './varlink/service-interface.ts'
export { WatchLink, type WatchLinkOptions } from './watch-link.ts'
