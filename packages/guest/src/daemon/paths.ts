import { join } from 'node:path'
import { defaultRuntimeDir, pageName, socketName } from 'snapsafe/protocol'

/** Of the system's own daemon. */
export const systemStateDir = '/var/lib/snapsafe'

/** Everything that the daemon touches, by name. */
export interface DaemonPaths {
  readonly runtimeDir: string
  readonly page: string
  readonly socket: string
  /** Held with flock(2) while a daemon runs on this directory. */
  readonly lock: string
  /** What a daemon that comes after this one must know. */
  readonly state: string
  /** The directories of the cgroups that may be frozen, one a line. */
  readonly frozen: string
  /** One line of JSON for each generation, over reboots. */
  readonly journal: string
}

export function daemonPaths(runtimeDir: string, stateDir: string): DaemonPaths {
  return {
    runtimeDir,
    page: join(runtimeDir, pageName),
    socket: join(runtimeDir, socketName),
    lock: join(runtimeDir, 'lock'),
    state: join(runtimeDir, 'daemon.json'),
    frozen: join(runtimeDir, 'frozen'),
    journal: join(stateDir, 'generations.jsonl'),
  }
}

/** A trial leaves the system alone: what it would keep there goes with its own directory. */
export function defaultStateDir(runtimeDir: string): string {
  return isSystemDaemon(runtimeDir) ? systemStateDir : join(runtimeDir, 'state')
}

/** Whether this is the directory of the system's own daemon; any other is a trial, which leaves the system alone. */
export function isSystemDaemon(runtimeDir: string): boolean {
  return runtimeDir === defaultRuntimeDir
}
