import type { Stage, WatchEvent } from 'snapsafe/protocol'
import type { QuiesceOutcome } from '../orchestrator/events.ts'

/** What those who wait for something are told, after the page shows it. */
export type Change =
  | { readonly type: 'generation' | 'ready' | 'quiesce' | 'resumed' }
  /** Progress on the way to ready. */
  | { readonly type: 'counts' }
  | { readonly type: 'quiesce-ended'; readonly quiesce: number; readonly outcome: QuiesceOutcome }

/** The connection of a watcher. */
export interface WatcherLink {
  readonly stage: Stage
  readonly beforeSnapshot: boolean
  /** Of the process at its other end, where that is known. */
  readonly pidfd: number | undefined
  tell(event: Exclude<WatchEvent, 'registered'>): void
}
