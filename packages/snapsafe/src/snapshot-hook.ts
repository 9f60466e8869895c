import type { HookOptions } from './hook.ts'

/** What a hook is told before a planned snapshot. */
export interface SnapshotEvent {
  /** What the snapshot is for, in the words of who plans it. */
  readonly reason: string | undefined
  /** When the daemon gives the snapshot up, in microseconds of CLOCK_BOOTTIME. */
  readonly deadlineUsec: number
  /** Aborted when the hook's time is up, when the snapshot is over, or when the hook was closed. */
  readonly signal: AbortSignal
}

/** What a hook is told when a planned snapshot is over. */
export interface SnapshotOverEvent {
  /** Whether this is a copy; false in the original, and where no snapshot was taken. */
  readonly restored: boolean
  /** The current one; in a copy, the one to adjust to. */
  readonly generation: number
  /** Aborted when the hook's time is up, when a newer generation has come, or when the hook was closed. */
  readonly signal: AbortSignal
}

export interface SnapshotHookOptions extends HookOptions {
  /**
   * Undoes what the handler did, or builds it up again: runs when a snapshot is over for which the handler was called, also
   * when it vetoed. Has `timeoutMs` of its own. In a copy it runs at its place among the hooks of `onRestore`, is awaited
   * before the machine is ready, and its failure is reported. In the original its failure is of nobody's business: it goes to
   * the diagnostics channel `snapsafe:hook`.
   */
  readonly afterwards?: ((event: SnapshotOverEvent) => unknown) | undefined
}
