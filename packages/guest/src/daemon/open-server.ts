import { rmSync } from 'node:fs'
import { FdStore } from '../system/fd-store.ts'
import { groupId } from '../system/group.ts'
import { connectionLimit } from '../system/open-files.ts'
import type { InheritedDescriptors } from '../system/systemd.ts'
import { version } from '../version.ts'
import { adopt } from './adopt.ts'
import type { Manager } from './manager.ts'
import { closeManager } from './open-manager.ts'
import type { CloseLater, Parts } from './parts.ts'
import { warnOfUnknownUsers } from './policy.ts'
import { ApiServer } from './server.ts'
import type { SourceBoard } from './source-board.ts'
import type { Telling } from './untold.ts'

export interface ServerParts extends Parts {
  readonly manager: Manager
  readonly board: SourceBoard
  readonly sampleSources: () => void
  readonly inherited: InheritedDescriptors
  readonly untold: readonly Telling[]
}

export interface OpenedServer {
  /** Watchers whose connections were kept. */
  readonly connected: readonly string[]
  /** Lets everybody in. */
  listen(): Promise<void>
}

/** The service, with the connections that were kept for it. It does not listen yet. */
export function openServer(parts: ServerParts, closeLater: CloseLater): OpenedServer {
  const { addon, paths, config, log, freeze, kernelRandom, memory, manager, board, sampleSources } = parts
  const { stored, listening } = parts.inherited
  warnOfUnknownUsers(config.watchers, log)
  const fdStore = new FdStore({ addon, stored, warn: log.warning })
  const server = new ApiServer({
    context: { addon, manager, config, log, sources: board, sampleSources, kernelRandom, memory, freeze },
    fdStore,
    maxConnections: connectionLimit(config.daemon.max_connections, log),
    group: groupId(config.daemon.group),
    service: { vendor: 'snapsafe', product: 'snapsafed', version, url: '' },
  })
  closeLater(() => close(manager, server))
  return {
    connected: adopt(stored, { addon, manager, server, fdStore, log, untold: parts.untold }),
    async listen() {
      await server.listen(paths.socket, listening)
      closeLater(async () => {
        await close(manager, server)
        if (listening === undefined) rmSync(paths.socket, { force: true })
      })
    },
  }
}

async function close(manager: Manager, server: ApiServer): Promise<void> {
  // First: a watcher whose connection is closed here has not left, and owes what it owed.
  await closeManager(manager)
  await server.close()
}
