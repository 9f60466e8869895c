import type { Owing } from 'snapsafe/protocol'

/** How many maps the table is spread over: a change copies one of them, not all watchers. */
const bucketCount = 128

/** The process that a watcher belongs to, as the kernel named it when it connected (SO_PEERCRED). */
export interface WatcherOwner {
  readonly pid: number
  readonly uid: number
}

/** One connection that is told of each generation. */
export interface WatcherRecord {
  /** A decimal number, never used twice by one daemon. */
  readonly id: string
  readonly name: string
  readonly owner: WatcherOwner
  readonly tracked: boolean
  readonly deadlineMs: number
  /** The generation that it last confirmed, or declared when it registered. */
  readonly adjustedTo: number
  readonly owing: Owing
  /** CLOCK_BOOTTIME in microseconds; only while `owing` is `pending`. */
  readonly dueAtUsec?: number
  /** What the watcher said it could not do; only while `owing` is `failed`. */
  readonly failure?: string
}

type Bucket = ReadonlyMap<string, WatcherRecord>

/**
 * An immutable table of watchers with its counts. A change costs one bucket, so that the confirmations of ten thousand
 * watchers are not ten thousand copies of ten thousand entries.
 */
export class WatcherTable implements Iterable<WatcherRecord> {
  /** All watchers. */
  readonly size: number
  /** Those that owe a confirmation for each generation. */
  readonly tracked: number
  /** Tracked watchers that have not confirmed the current generation, whether or not their deadline has passed. */
  readonly outdated: number
  /** Outdated watchers that are still waited for. */
  readonly pending: number
  readonly #buckets: readonly Bucket[]

  private constructor(
    buckets: readonly Bucket[],
    size: number,
    tracked: number,
    outdated: number,
    pending: number,
  ) {
    this.#buckets = buckets
    this.size = size
    this.tracked = tracked
    this.outdated = outdated
    this.pending = pending
  }

  static none(): WatcherTable {
    return new WatcherTable(new Array<Bucket>(bucketCount).fill(new Map()), 0, 0, 0, 0)
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

  /** The table with every watcher replaced by what `change` makes of it; ids stay. */
  map(change: (watcher: WatcherRecord) => WatcherRecord): WatcherTable {
    let [tracked, outdated, pending] = [0, 0, 0]
    const buckets = this.#buckets.map((bucket) => {
      const next = new Map<string, WatcherRecord>()
      for (const watcher of bucket.values()) {
        const changed = change(watcher)
        next.set(changed.id, changed)
        tracked += countTracked(changed)
        outdated += countOutdated(changed)
        pending += countPending(changed)
      }
      return next
    })
    return new WatcherTable(buckets, this.size, tracked, outdated, pending)
  }

  *[Symbol.iterator](): Iterator<WatcherRecord> {
    for (const bucket of this.#buckets) yield* bucket.values()
  }

  #changed(id: string, watcher: WatcherRecord | undefined): WatcherTable {
    const index = bucketOf(id)
    const bucket = new Map(this.#buckets[index])
    const before = bucket.get(id)
    if (watcher) bucket.set(id, watcher)
    else bucket.delete(id)
    return new WatcherTable(
      this.#buckets.with(index, bucket),
      this.size + (watcher ? 1 : 0) - (before ? 1 : 0),
      this.tracked + countTracked(watcher) - countTracked(before),
      this.outdated + countOutdated(watcher) - countOutdated(before),
      this.pending + countPending(watcher) - countPending(before),
    )
  }
}

function bucketOf(id: string): number {
  return Number(id) % bucketCount
}

function countTracked(watcher: WatcherRecord | undefined): number {
  return watcher?.tracked ? 1 : 0
}

function countOutdated(watcher: WatcherRecord | undefined): number {
  return watcher && watcher.owing !== 'no' ? 1 : 0
}

function countPending(watcher: WatcherRecord | undefined): number {
  return watcher?.owing === 'pending' ? 1 : 0
}
