import type { Stage, WatchEvent } from 'snapsafe/protocol'
import type { Change, WatcherLink } from './change.ts'
import { PerUser } from './per-user.ts'

/** Everybody who is told something: watchers, those who wait for a change, and those who follow the log. */
export class Audience {
  readonly #watchers = new Map<string, { readonly uid: number; readonly link: WatcherLink }>()
  readonly #watchersOf = new PerUser()
  readonly #waitingOf = new PerUser()
  readonly #subscribers = new Set<(change: Change) => void>()
  readonly #readers = new Set<() => void>()

  /** How many watchers a user has. */
  watchersOf(uid: number): number {
    return this.#watchersOf.get(uid)
  }

  /** How many of a user's calls wait. */
  waitingOf(uid: number): number {
    return this.#waitingOf.get(uid)
  }

  /** A descriptor of the process of a watcher that is here; open as long as it is. */
  pidfdOf(id: string): number | undefined {
    return this.#watchers.get(id)?.link.pidfd
  }

  /** A watcher is told, until the returned function is called. */
  attach(id: string, uid: number, link: WatcherLink): () => void {
    this.#watchers.set(id, { uid, link })
    const forget = this.#watchersOf.add(uid)
    return () => {
      if (this.#watchers.delete(id)) forget()
    }
  }

  /** A call of a user waits, until the returned function is called. */
  addWaiting(uid: number): () => void {
    return this.#waitingOf.add(uid)
  }

  /** Be told of changes until the returned function is called. */
  subscribe(subscriber: (change: Change) => void): () => void {
    this.#subscribers.add(subscriber)
    return () => this.#subscribers.delete(subscriber)
  }

  /** Be told when there is something new in the log, until the returned function is called. */
  followLog(reader: () => void): () => void {
    this.#readers.add(reader)
    return () => this.#readers.delete(reader)
  }

  ask(id: string): void {
    this.#watchers.get(id)?.link.tell('quiesce')
  }

  /** The generation, to the watchers of a stage. */
  tell(stage: Stage): void {
    this.#tell('generation', (link) => link.stage === stage)
  }

  announce(change: Change): void {
    if (change.type === 'ready') this.#tell('ready', () => true)
    if (change.type === 'resumed') this.#tell('resumed', ({ beforeSnapshot }) => beforeSnapshot)
    for (const subscriber of this.#subscribers) subscriber(change)
  }

  logged(): void {
    for (const reader of this.#readers) reader()
  }

  /** Nobody is told anything any more. */
  close(): void {
    this.#watchers.clear()
    this.#subscribers.clear()
    this.#readers.clear()
  }

  #tell(event: Exclude<WatchEvent, 'registered'>, isMeant: (link: WatcherLink) => boolean): void {
    for (const { link } of this.#watchers.values()) if (isMeant(link)) link.tell(event)
  }
}
