import type { NativeAddon } from 'snapsafe/native'
import { type StoredConnection, storedPrefix } from './systemd.ts'

/** A service manager that is busy reads again within some milliseconds; its queue holds net.unix.max_dgram_qlen messages. */
const retryMs = 20

export interface FdStoreOptions {
  readonly addon: Pick<NativeAddon, 'sendDatagram'>
  /** What is in the store already. */
  readonly stored?: readonly StoredConnection[]
  readonly warn: (message: string) => void
  readonly env?: NodeJS.ProcessEnv
}

interface Message {
  readonly id: string
  readonly kind: 'put' | 'remove'
  /** The descriptor as it is when the message is sent; undefined: it was closed meanwhile. */
  readonly descriptor: () => number | undefined
}

/**
 * The service manager's file descriptor store (FDSTORE=1 in sd_notify(3)), where there is one: systemd 254 and newer say so with
 * $FDSTORE, the number of descriptors that it takes. What is in it survives this process, and is handed to the next one; a
 * connection whose peer has hung up leaves it by itself. Where there is none, nothing is kept. Never throws: who is not in the
 * store loses a connection when the daemon dies, and no more than that.
 */
export class FdStore {
  readonly #options: FdStoreOptions
  readonly #path: string | undefined
  readonly #size: number
  readonly #stored: Set<string>
  readonly #waiting: Message[] = []
  #timer: NodeJS.Timeout | undefined
  #closed = false
  readonly #warned = new Set<string>()

  constructor(options: FdStoreOptions) {
    const { env = process.env, stored = [] } = options
    this.#options = options
    this.#path = env.NOTIFY_SOCKET
    this.#size = Number(env.FDSTORE ?? 0)
    this.#stored = new Set(stored.map(({ id }) => id))
  }

  /** Has the connection of a watcher kept; nothing where it is kept already. `descriptor`: undefined when it was closed. */
  put(id: string, descriptor: () => number | undefined): void {
    if (!this.#path || this.#closed || this.#stored.has(id)) return
    if (this.#stored.size >= this.#size) {
      if (this.#size > 0) this.#warn(`it is full; FileDescriptorStoreMax= is ${this.#size}`)
      return
    }
    this.#stored.add(id)
    this.#send({ id, kind: 'put', descriptor })
  }

  /** It is not kept any more. */
  remove(id: string): void {
    if (!this.#path || this.#closed || !this.#stored.delete(id)) return
    const unsent = this.#waiting.findIndex((message) => message.id === id && message.kind === 'put')
    if (unsent === -1) this.#send({ id, kind: 'remove', descriptor: () => undefined })
    else this.#waiting.splice(unsent, 1)
  }

  /** Whether the next daemon gets it. */
  has(id: string): boolean {
    return this.#stored.has(id) && !this.#waiting.some((message) => message.id === id)
  }

  /** Nothing changes any more: what is kept is for the next daemon. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #send(message: Message): void {
    this.#waiting.push(message)
    if (this.#timer === undefined) this.#flush()
  }

  /** In their order: a name may come to be used again. */
  #flush(): void {
    this.#timer = undefined
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      try {
        this.#say(next)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') {
          this.#timer = setTimeout(() => this.#flush(), retryMs).unref()
          return
        }
        if (next.kind === 'put') this.#stored.delete(next.id)
        this.#warn((error as Error).message)
      }
      this.#waiting.shift()
    }
  }

  #say({ id, kind, descriptor }: Message): void {
    const { addon } = this.#options
    const name = `FDNAME=${storedPrefix}${id}`
    const path = this.#path ?? ''
    if (kind === 'remove') {
      addon.sendDatagram(path, Buffer.from(`FDSTOREREMOVE=1\n${name}`))
      return
    }
    const fd = descriptor()
    if (fd === undefined) this.#stored.delete(id)
    else addon.sendDatagram(path, Buffer.from(`FDSTORE=1\n${name}`), fd)
  }

  /** Each once: a store that is full stays so for a while, and watchers come and go. */
  #warn(why: string): void {
    if (this.#warned.has(why)) return
    this.#warned.add(why)
    this.#options.warn(`cannot keep a connection in the service manager's descriptor store: ${why}`)
  }
}
