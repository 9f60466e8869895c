import { existsSync } from 'node:fs'
import type { NativeAddon } from 'snapsafe/native'

/** sd_listen_fds(3): the first descriptor that a service manager hands over. */
const firstListenFd = 3

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

/** The descriptor of a socket that the service manager listens on for us (socket activation), or undefined. */
export function inheritedSocket(env = process.env): number | undefined {
  if (env.LISTEN_PID !== String(process.pid) || !(Number(env.LISTEN_FDS) >= 1)) return undefined
  return firstListenFd
}

/** Whether systemd runs this system: sd_booted(3). */
export function isBootedWithSystemd(directory = '/run/systemd/system'): boolean {
  return existsSync(directory)
}
