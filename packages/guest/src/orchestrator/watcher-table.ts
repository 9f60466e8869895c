import type { Notify, Owing, Signal, Stage } from 'snapsafe/protocol'
import { stages } from './stages.ts'

/** How many maps the table is spread over: a change copies one of them, not all watchers. */
const bucketCount = 128

/** The process that a watcher belongs to, as the kernel named it when it connected (SO_PEERCRED). */
export interface WatcherOwner {
  readonly pid: number
  readonly uid: number
  /** When the process started, in clock ticks since boot: a pid is used again, a pid with this is not. 0: not known. */
  readonly startTicks: number
}

/** What is done about a watcher that has not adjusted when its deadline passes, or says that it cannot. */
export type DeadlinePolicy = 'report' | 'hold' | 'restart' | 'kill'

/** One connection that is told of each generation. Times are CLOCK_BOOTTIME in microseconds. */
export interface WatcherRecord {
  /** A decimal number, never used twice in the life of a page. */
  readonly id: string
  readonly name: string
  readonly owner: WatcherOwner
  readonly tracked: boolean
  readonly stage: Stage
  readonly deadlineMs: number
  readonly policy: DeadlinePolicy
  /** It is asked before a planned snapshot. */
  readonly beforeSnapshot: boolean
  /** How it asked to be told; nothing to the machine, but to a daemon that goes on with its connection. */
  readonly notify?: Notify
  readonly signal?: Signal
  /** When it was registered first: the order in which watchers are asked. */
  readonly registeredAtUsec: number
  /** The generation that it last confirmed, or declared when it registered. */
  readonly adjustedTo: number
  readonly owing: Owing
  /** Since when it owes. */
  readonly sinceUsec?: number
  /** Only while it is waited for, and its stage has begun. */
  readonly dueAtUsec?: number
  /** Its deadline has passed, or it has failed, and `ready` waits for it all the same. */
  readonly held?: boolean
  /** What the watcher said it could not do; only while `owing` is `failed`. */
  readonly failure?: string
  /** Its connection is gone; this long it may come back to what it owes. */
  readonly absentUntilUsec?: number
  /** The last planned snapshot that it was asked about. */
  readonly askedFor?: number
}

/** A bucket is never changed once a table has it. */
type Bucket = ReadonlyMap<string, WatcherRecord>

interface Counts {
  tracked: number
  outdated: number
  pending: number
  absent: number
  /** By stage. */
  blocking: number[]
}

/**
 * An immutable table of watchers with its counts. A change costs one bucket, so that the confirmations of ten thousand
 * watchers are not ten thousand copies of ten thousand entries.
 */
export class WatcherTable implements Iterable<WatcherRecord> {
  /** All watchers. */
  readonly size: number
  readonly #counts: Readonly<Counts>
  readonly #buckets: readonly Bucket[]

  private constructor(buckets: readonly Bucket[], size: number, counts: Counts) {
    this.#buckets = buckets
    this.size = size
    this.#counts = counts
  }

  static none(): WatcherTable {
    return new WatcherTable(new Array<Bucket>(bucketCount).fill(new Map()), 0, noCounts())
  }

  static of(watchers: Iterable<WatcherRecord>): WatcherTable {
    const buckets = Array.from({ length: bucketCount }, () => new Map<string, WatcherRecord>())
    for (const watcher of watchers) buckets[bucketOf(watcher.id)]?.set(watcher.id, watcher)
    return WatcherTable.#counted(buckets)
  }

  /** Those that owe a confirmation for each generation. */
  get tracked(): number {
    return this.#counts.tracked
  }

  /** Tracked watchers that have not confirmed the current generation, whether or not they are still waited for. */
  get outdated(): number {
    return this.#counts.outdated
  }

  /** Outdated watchers whose deadline has not passed. */
  get pending(): number {
    return this.#counts.pending
  }

  /** Watchers whose connection is gone, and which may come back. */
  get absent(): number {
    return this.#counts.absent
  }

  /** How many are waited for, of this stage and those before it. */
  blockingUpTo(stage: Stage): number {
    const last = stages.indexOf(stage)
    return this.#counts.blocking.reduce((sum, count, index) => (index <= last ? sum + count : sum), 0)
  }

  get(id: string): WatcherRecord | undefined {
    return this.#buckets[bucketOf(id)]?.get(id)
  }

  /** The table with this watcher in it, in the place of one with the same id. */
  with(watcher: WatcherRecord): WatcherTable {
    return this.#changed(watcher.id, watcher)
  }

  /** The table without this watcher. */
  without(id: string): WatcherTable {
    return this.get(id) === undefined ? this : this.#changed(id, undefined)
  }

  /** The table with every watcher replaced by what `change` makes of it, or left out where that is undefined; ids stay. */
  map(change: (watcher: WatcherRecord) => WatcherRecord | undefined): WatcherTable {
    const buckets = this.#buckets.map((bucket) => {
      if (bucket.size === 0) return bucket
      const next = new Map<string, WatcherRecord>()
      for (const watcher of bucket.values()) {
        const changed = change(watcher)
        if (changed) next.set(changed.id, changed)
      }
      return next
    })
    return WatcherTable.#counted(buckets)
  }

  *[Symbol.iterator](): Iterator<WatcherRecord> {
    for (const bucket of this.#buckets) if (bucket.size > 0) yield* bucket.values()
  }

  static #counted(buckets: readonly Bucket[]): WatcherTable {
    const counts = noCounts()
    let size = 0
    for (const bucket of buckets) {
      if (bucket.size === 0) continue
      size += bucket.size
      for (const watcher of bucket.values()) count(counts, watcher, 1)
    }
    return new WatcherTable(buckets, size, counts)
  }

  #changed(id: string, watcher: WatcherRecord | undefined): WatcherTable {
    const index = bucketOf(id)
    const bucket = new Map(this.#buckets[index])
    const before = bucket.get(id)
    if (watcher) bucket.set(id, watcher)
    else bucket.delete(id)
    const counts = { ...this.#counts, blocking: [...this.#counts.blocking] }
    if (before) count(counts, before, -1)
    if (watcher) count(counts, watcher, 1)
    const size = this.size + (watcher ? 1 : 0) - (before ? 1 : 0)
    return new WatcherTable(this.#buckets.with(index, bucket), size, counts)
  }
}

/** Whether `ready` waits for it. */
export function isBlocking(watcher: WatcherRecord): boolean {
  return watcher.owing === 'pending' || watcher.held === true
}

function bucketOf(id: string): number {
  return Number(id) % bucketCount
}

function noCounts(): Counts {
  return { tracked: 0, outdated: 0, pending: 0, absent: 0, blocking: stages.map(() => 0) }
}

function count(counts: Counts, watcher: WatcherRecord, by: 1 | -1): void {
  if (watcher.tracked) counts.tracked += by
  if (watcher.owing !== 'no') counts.outdated += by
  if (watcher.owing === 'pending') counts.pending += by
  if (watcher.absentUntilUsec !== undefined) counts.absent += by
  const stage = stages.indexOf(watcher.stage)
  if (isBlocking(watcher)) counts.blocking[stage] = (counts.blocking[stage] ?? 0) + by
}
