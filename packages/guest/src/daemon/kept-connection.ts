import type { Socket } from 'node:net'
import type { FdStore } from '../system/fd-store.ts'
import { openDescriptorOf } from './caller.ts'

/** A connection that the service manager may keep for the next daemon, as that of a watcher. */
export class KeptConnection {
  readonly #store: FdStore
  readonly #socket: Socket
  #id: string | undefined

  constructor(store: FdStore, socket: Socket) {
    this.#store = store
    this.#socket = socket
  }

  /** Whether the next daemon gets it. */
  get isKept(): boolean {
    return this.#id !== undefined && this.#store.has(this.#id)
  }

  /** Has it kept for a watcher; to be called again after each reply. */
  keep(id: string): void {
    this.#id = id
    // A peer that has got only a part of a reply cannot be told the rest by another daemon: it is to lose the connection.
    if (this.#socket.writableLength > 0) this.#store.remove(id)
    else this.#store.put(id, () => openDescriptorOf(this.#socket))
  }

  /** The watch is over. */
  release(): void {
    if (this.#id !== undefined) this.#store.remove(this.#id)
  }
}
