import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Wait, withDeadline } from '../../deadline.ts'

/** sun_path of sockaddr_un (unix(7)) holds 108 bytes with its terminating zero. */
const maxSocketPathBytes = 107
const retryMs = 10

/** Throws a `RangeError` if the kernel would cut this socket path. */
export function checkSocketPath(path: string): void {
  const bytes = Buffer.byteLength(path)
  if (bytes <= maxSocketPathBytes) return
  throw new RangeError(
    `socket path ${path} has ${bytes} bytes, a unix socket allows ${maxSocketPathBytes}: use a shorter folder`,
  )
}

/**
 * Connects to a unix socket whose server may not be listening yet: retries while the file is missing or refuses, until
 * the deadline. The caller owns the socket and must listen to its `error` event.
 */
export async function unixConnect(path: string, wait: Wait): Promise<Socket> {
  checkSocketPath(path)
  return await withDeadline(`connecting to ${path}`, wait, async (signal) => {
    for (;;) {
      const outcome = await connectOnce(path)
      if (!(outcome instanceof Error)) {
        if (!signal.aborted) return outcome
        outcome.destroy()
      } else if (outcome.code !== 'ENOENT' && outcome.code !== 'ECONNREFUSED') {
        throw outcome
      }
      await sleep(retryMs, undefined, { signal })
    }
  })
}

function connectOnce(path: string): Promise<Socket | NodeJS.ErrnoException> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const onError = (error: NodeJS.ErrnoException): void => {
      socket.destroy()
      resolve(error)
    }
    socket.once('error', onError)
    socket.once('connect', () => {
      socket.off('error', onError)
      resolve(socket)
    })
  })
}
