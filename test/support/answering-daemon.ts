import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  dispatchTo,
  generationInterface,
  interfaceName,
  type MethodHandlers,
  type Methods,
  ServerConnection,
  socketPath,
  VarlinkError,
} from 'snapsafe/protocol'

/** A service in place of a daemon, in a runtime directory of its own. */
export interface AnsweringDaemon extends AsyncDisposable {
  readonly runtimeDir: string
}

/** Answers as it is told, for what a real daemon answers only by chance or with cgroups of its own; replies are checked. */
export async function answeringDaemon(handlers: Partial<MethodHandlers<Methods>>): Promise<AnsweringDaemon> {
  const runtimeDir = mkdtempSync(join(tmpdir(), 'snapsafe-answers-'))
  const connections = new Set<ServerConnection>()
  const server = createServer((socket) => {
    const connection = new ServerConnection(socket, {
      interfaces: [generationInterface()],
      service: { vendor: 'test', product: 'test', version: '0', url: '' },
      dispatch: dispatchTo<Methods>(handlers),
      internalErrorName: `${interfaceName}.Internal`,
      onInternalError: (error) => process.stderr.write(`${String(error)}\n`),
      onClose: () => connections.delete(connection),
    })
    connections.add(connection)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(socketPath(runtimeDir), resolve)
  })
  return {
    runtimeDir,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      await Promise.all([...connections].map((connection) => connection.close()))
      await closed
      rmSync(runtimeDir, { recursive: true })
    },
  }
}

/** An error of the interface, for handlers to throw. */
export function generationError(name: string, parameters: object = {}): VarlinkError {
  return new VarlinkError(`${interfaceName}.${name}`, parameters)
}
