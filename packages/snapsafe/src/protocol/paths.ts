import { join } from 'node:path'

/** Where the system's own daemon keeps its page and its socket; a tmpfs. */
export const defaultRuntimeDir = '/run/snapsafe'
/** The page, in the runtime directory. */
export const pageName = 'generation'
/** The socket, in the runtime directory; it bears the name of the interface, as systemd's do. */
export const socketName = 'io.snapsafe.Generation'

/** The runtime directory that this process is told of by SNAPSAFE_RUNTIME_DIR, or the system's. */
export function runtimeDirOf(env: NodeJS.ProcessEnv = process.env): string {
  return env.SNAPSAFE_RUNTIME_DIR || defaultRuntimeDir
}

export function pagePath(runtimeDir: string): string {
  return join(runtimeDir, pageName)
}

export function socketPath(runtimeDir: string): string {
  return join(runtimeDir, socketName)
}
