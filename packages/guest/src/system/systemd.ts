import { existsSync } from 'node:fs'
import type { NativeAddon } from 'snapsafe/native'

/** sd_listen_fds(3): the first descriptor that a service manager hands over. */
const firstListenFd = 3
/** The name, in the service manager's store, of the connection of a watcher; its id follows. */
export const storedPrefix = 'watch-'

/** What a service manager has handed over: a socket that it listens on for us, and what an earlier daemon had it keep. */
export interface InheritedDescriptors {
  readonly listening: number | undefined
  readonly stored: readonly StoredConnection[]
}

/** The connection of a watcher. */
export interface StoredConnection {
  readonly id: string
  readonly fd: number
}

/**
 * Tells the service manager something (sd_notify(3)), for instance `READY=1`. Resolves to nothing where there is no
 * service manager; throws where there is one and it cannot be told.
 */
export function notifyServiceManager(addon: NativeAddon, message: string, env = process.env): void {
  const path = env.NOTIFY_SOCKET
  if (!path) return
  try {
    addon.sendDatagram(path, Buffer.from(message))
  } catch (error) {
    throw new Error(`cannot tell the service manager on ${path} (NOTIFY_SOCKET): ${(error as Error).message}`)
  }
}

/**
 * The descriptors that the service manager has handed over (sd_listen_fds_with_names(3)). Node has made them close-on-exec when
 * it started, as all that it inherits without a gap.
 */
export function inheritedDescriptors(env = process.env): InheritedDescriptors {
  const stored: StoredConnection[] = []
  let listening: number | undefined
  const count = env.LISTEN_PID === String(process.pid) ? Number(env.LISTEN_FDS) : 0
  const names = (env.LISTEN_FDNAMES ?? '').split(':')
  for (let index = 0; index < count; index++) {
    const fd = firstListenFd + index
    const name = names[index] ?? ''
    // The socket has the name of its unit, or another, or none.
    if (name.startsWith(storedPrefix)) stored.push({ id: name.slice(storedPrefix.length), fd })
    else listening ??= fd
  }
  return { listening, stored }
}

/** Whether systemd runs this system: sd_booted(3). */
export function isBootedWithSystemd(directory = '/run/systemd/system'): boolean {
  return existsSync(directory)
}
