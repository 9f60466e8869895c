import { chmodSync, renameSync, rmSync } from 'node:fs'
import { createServer, type Server, Socket } from 'node:net'
import {
  dispatchTo,
  generationInterface,
  interfaceName,
  type MethodHandlers,
  type Methods,
  ProtocolViolationError,
  ServerConnection,
  type ServiceInfo,
} from 'snapsafe/protocol'
import type { WatcherRecord } from '../orchestrator/watcher-table.ts'
import type { FdStore } from '../system/fd-store.ts'
import { type ApiContext, apiFor } from './api.ts'
import { type Caller, identifyCaller } from './caller.ts'
import { KeptConnection } from './kept-connection.ts'
import { PerUser } from './per-user.ts'
import type { Telling } from './untold.ts'
import { parametersOf, watchAgain } from './watch.ts'

/** The kernel caps it at net.core.somaxconn. After a restart all watchers come back at once. */
const backlog = 4096
/** What others cannot use up: connections that are kept for root and the group. */
const reservedConnections = 32
/** A few calls more do no harm. */
const connectionsBesideWatchers = 64
const complaintsEveryMs = 1000

/** Where a socket is bound before it gets its name. */
export function temporarySocket(path: string): string {
  return `${path}.new`
}

export interface ServerOptions {
  /** What the methods of every connection work with. */
  readonly context: Omit<ApiContext, 'caller' | 'connection'>
  /** Keeps the connections of watchers for the next daemon. */
  readonly fdStore: FdStore
  /** Of everybody. */
  readonly maxConnections: number
  readonly group: number | undefined
  readonly service: ServiceInfo
}

/** The Varlink service on a Unix socket. */
export class ApiServer {
  readonly #options: ServerOptions
  readonly #server: Server
  readonly #connections = new Map<ServerConnection, KeptConnection>()
  readonly #perUser = new PerUser()
  #turnedAwayAtMs = Number.NEGATIVE_INFINITY
  #cutOffAtMs = Number.NEGATIVE_INFINITY

  constructor(options: ServerOptions) {
    this.#options = options
    this.#server = createServer((socket) => this.#accept(socket))
  }

  /** Begins to listen on `path`, or on a socket that a service manager has opened there. Rejects where it cannot. */
  async listen(path: string, inherited: number | undefined): Promise<void> {
    if (inherited !== undefined) return this.#listen({ fd: inherited, backlog })
    // Under its own name only when everybody may connect: nobody meets a socket that refuses him.
    const temporary = temporarySocket(path)
    rmSync(temporary, { force: true })
    await this.#listen({ path: temporary, backlog })
    chmodSync(temporary, 0o666)
    renameSync(temporary, path)
  }

  /** Goes on with the connection of a watcher, which it owns then. `untold`: see `untoldTo`. Throws where it cannot. */
  adopt(fd: number, watcher: WatcherRecord, untold: readonly Telling[]): void {
    const { context, group } = this.#options
    const socket = new Socket({ fd, readable: true, writable: true })
    const caller = identifyCaller(context.addon, socket, group)
    const underWay = { method: `${interfaceName}.Watch`, parameters: parametersOf(watcher) }
    this.#serve(
      socket,
      caller,
      (each) => ({ Watch: (call) => watchAgain(call, each, watcher, untold) }),
      underWay,
    )
  }

  /** Those who are kept for the next daemon notice nothing. */
  async close(): Promise<void> {
    this.#options.fdStore.close()
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    const ends = [...this.#connections].map(([connection, { isKept }]) =>
      isKept ? connection.detach() : connection.close(),
    )
    await Promise.all(ends)
    await closed
  }

  #listen(where: { fd: number; backlog: number } | { path: string; backlog: number }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(where, () => {
        this.#server.off('error', reject)
        this.#server.on('error', (error) =>
          this.#options.context.log.error(`the socket failed: ${error.message}`),
        )
        resolve()
      })
    })
  }

  #accept(socket: Socket): void {
    const { context, group } = this.#options
    let caller: Caller
    try {
      caller = identifyCaller(context.addon, socket, group)
    } catch {
      socket.destroy()
      return
    }
    if (!this.#admit(caller)) {
      this.#logTurnedAway(caller)
      socket.destroy()
      return
    }
    this.#serve(socket, caller, apiFor)
  }

  #serve(
    socket: Socket,
    caller: Caller,
    handlersFor: (context: ApiContext) => Partial<MethodHandlers<Methods>>,
    underWay?: { readonly method: string; readonly parameters: object },
  ): void {
    const { context, service, fdStore } = this.#options
    const kept = new KeptConnection(fdStore, socket)
    const forget = this.#perUser.add(caller.uid)
    const connection = new ServerConnection(socket, {
      interfaces: [generationInterface()],
      service,
      dispatch: dispatchTo<Methods>(handlersFor({ ...context, caller, connection: kept })),
      ...(underWay && { underWay }),
      internalErrorName: `${interfaceName}.Internal`,
      protocolErrorName: `${interfaceName}.ProtocolError`,
      onInternalError: (error, method) =>
        context.log.error(`${method} failed: ${(error as Error)?.stack ?? error}`),
      onClose: (reason) => {
        this.#connections.delete(connection)
        forget()
        this.#logCutOff(caller, reason)
      },
    })
    this.#connections.set(connection, kept)
  }

  /** At most a line a second: whoever is turned away must not fill the log instead. */
  #logTurnedAway({ pid, uid }: Caller): void {
    const nowMs = performance.now()
    if (nowMs - this.#turnedAwayAtMs < complaintsEveryMs) return
    this.#turnedAwayAtMs = nowMs
    this.#options.context.log.warning(`process ${pid} of user ${uid} was turned away: too many connections`)
  }

  /** Likewise. */
  #logCutOff({ pid, uid }: Caller, reason: Error | undefined): void {
    if (!(reason instanceof ProtocolViolationError) || reason.violation !== 'replies-not-read') return
    const nowMs = performance.now()
    if (nowMs - this.#cutOffAtMs < complaintsEveryMs) return
    this.#cutOffAtMs = nowMs
    this.#options.context.log.info(`process ${pid} of user ${uid} was cut off: ${reason.message}`)
  }

  #admit({ uid, privileged }: Caller): boolean {
    const { maxConnections } = this.#options
    const open = this.#connections.size
    if (privileged) return open < maxConnections
    // A watcher confirms on a second connection, and all of a user's may do so at once.
    const perUser = 2 * this.#options.context.config.watchers.max_per_user + connectionsBesideWatchers
    return open < maxConnections - reservedConnections && this.#perUser.get(uid) < perUser
  }
}
