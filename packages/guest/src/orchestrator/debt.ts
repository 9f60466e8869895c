import type { WatcherRecord } from './watcher-table.ts'

const usecPerMs = 1000

/** A watcher as it is when a generation has begun: it owes a confirmation, and is told when its stage comes. */
export function indebted(watcher: WatcherRecord, nowUsec: number): WatcherRecord {
  const rest = free(watcher)
  return watcher.tracked ? { ...rest, owing: 'pending', sinceUsec: nowUsec } : rest
}

/** A watcher that has been told. */
export function due(
  watcher: WatcherRecord,
  nowUsec: number,
  deadlineMs: number,
): WatcherRecord & { readonly dueAtUsec: number } {
  return { ...watcher, dueAtUsec: nowUsec + deadlineMs * usecPerMs }
}

/** A watcher that owes what another does. */
export function withDebtOf(debtor: WatcherRecord, watcher: WatcherRecord): WatcherRecord {
  const { owing, sinceUsec, dueAtUsec, held, failure } = debtor
  return {
    ...free(watcher),
    owing,
    ...(sinceUsec !== undefined && { sinceUsec }),
    ...(dueAtUsec !== undefined && { dueAtUsec }),
    ...(held !== undefined && { held }),
    ...(failure !== undefined && { failure }),
  }
}

/** A watcher that owes nothing. */
export function free(watcher: WatcherRecord): WatcherRecord {
  const { dueAtUsec: _, sinceUsec: __, held: ___, failure: ____, ...rest } = watcher
  return { ...rest, owing: 'no' }
}

/** A watcher that is outdated, and waited for no longer. */
export function released(watcher: WatcherRecord): WatcherRecord {
  const { dueAtUsec: _, held: __, ...rest } = watcher
  return rest
}

/** A watcher that could not confirm until now, because it stood still, or had no daemon to confirm to. */
export function spared(watcher: WatcherRecord, untilUsec: number): WatcherRecord {
  const { dueAtUsec } = watcher
  if (dueAtUsec === undefined) return watcher
  return { ...watcher, dueAtUsec: Math.max(dueAtUsec, untilUsec) }
}
