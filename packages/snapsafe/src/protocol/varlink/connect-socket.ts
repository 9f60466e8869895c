import { createConnection, type Socket } from 'node:net'
import { ConnectError, VarlinkTimeoutError } from './errors.ts'

/** A local connect is immediate unless the service's backlog is full. */
const defaultConnectTimeoutMs = 5_000

export interface ConnectSocketOptions {
  readonly signal?: AbortSignal | undefined
  readonly connectTimeoutMs?: number | undefined
}

/**
 * Connects to a Unix socket.
 *
 * @throws ConnectError, VarlinkTimeoutError, or the signal's reason.
 */
export async function connectSocket(path: string, options: ConnectSocketOptions = {}): Promise<Socket> {
  const { signal, connectTimeoutMs = defaultConnectTimeoutMs } = options
  signal?.throwIfAborted()
  const socket = createConnection(path)
  let timer: NodeJS.Timeout | undefined
  let onAbort = () => {}
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', (error) => reject(new ConnectError(path, error)))
      timer = setTimeout(
        () => reject(new VarlinkTimeoutError(`connecting to ${path}`, connectTimeoutMs)),
        connectTimeoutMs,
      )
      onAbort = () => reject(signal?.reason)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}
