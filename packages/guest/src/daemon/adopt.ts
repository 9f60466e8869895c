import { closeSync } from 'node:fs'
import type { NativeAddon } from 'snapsafe/native'
import type { WatcherRecord } from '../orchestrator/watcher-table.ts'
import type { FdStore } from '../system/fd-store.ts'
import { isGone } from '../system/process-status.ts'
import type { StoredConnection } from '../system/systemd.ts'
import type { Log } from './log.ts'
import type { Manager } from './manager.ts'
import type { ApiServer } from './server.ts'
import type { Telling } from './untold.ts'

export interface AdoptOptions {
  readonly addon: NativeAddon
  readonly manager: Manager
  readonly server: ApiServer
  readonly fdStore: FdStore
  readonly log: Log
  readonly untold: readonly Telling[]
}

/**
 * Goes on with the connections of watchers that the service manager has kept, and returns whose. Any other that it has kept is
 * closed: its peer connects again.
 */
export function adopt(stored: readonly StoredConnection[], options: AdoptOptions): string[] {
  const { addon, manager, server, fdStore, log, untold } = options
  const adopted = new Set<string>()
  for (const { id, fd } of stored) {
    const watcher = manager.state.watchers.get(id)
    try {
      if (!watcher || adopted.has(id) || !mayGoOn(watcher, fd, addon)) throw new Error('it is of no watcher')
      server.adopt(fd, watcher, untold)
      adopted.add(id)
    } catch (error) {
      // Whatever it is, no daemon must be kept from starting by what it finds there.
      log.info(`cannot go on with the stored connection ${id}: ${(error as Error).message}`)
      closeSync(fd)
      fdStore.remove(id)
    }
  }
  if (adopted.size > 0) log.info(`goes on with the connections of ${adopted.size} watchers`)
  return [...adopted]
}

/** Goes on where another daemon ended, without the connections that it had, but for these. */
export function restart(manager: Manager, connected: readonly string[]): void {
  const here = new Set(connected)
  const gone = [...manager.state.watchers].filter(
    ({ id, owner }) => !here.has(id) && isGone(owner.pid, owner.startTicks),
  )
  const dead = gone.map(({ id }) => id)
  manager.dispatch({ type: 'restarted', nowUsec: manager.nowUsec(), connected, dead })
}

/** Whether this is the connection of the watcher's own process, which lives, and had not closed it. Throws for what is none. */
function mayGoOn({ owner, absentUntilUsec }: WatcherRecord, fd: number, addon: NativeAddon): boolean {
  if (absentUntilUsec !== undefined) return false
  // With a process that has ended, its pid may have come to mean another, which must not be signalled.
  const { pid, uid } = addon.peerCredentials(fd)
  return pid === owner.pid && uid === owner.uid && (pid === 0 || !isGone(pid, owner.startTicks))
}
