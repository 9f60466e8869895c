import type { Cause, Evidence, KernelRandom, Phase } from 'snapsafe/protocol'
import { WatcherTable } from './watcher-table.ts'

/** A restore that was declared, and whose generation nobody may see before the kernel's generator is unique. */
export interface PendingRestore {
  /** Which request to make the kernel unique this waits for; an answer to an earlier one counts for nothing. */
  readonly attempt: number
  /** How many restores were declared meanwhile: the generation grows by one for each. */
  readonly restores: number
  readonly minimum: number
  readonly cause: Cause
  readonly reason: string | undefined
  readonly evidence: readonly Evidence[]
}

/** All that the orchestrator knows. Immutable. Times are CLOCK_BOOTTIME in microseconds. */
export interface OrchestratorState {
  readonly generation: number
  readonly generationId: string
  readonly phase: Extract<Phase, 'running' | 'adjusting'>
  readonly cause: Cause
  readonly reason: string | undefined
  readonly evidence: readonly Evidence[]
  readonly kernelRandom: KernelRandom
  readonly changedAtUsec: number
  readonly readyAtUsec: number | undefined
  readonly watchers: WatcherTable
  readonly pending: PendingRestore | undefined
  readonly attempts: number
  /** Not ready before this, although nobody is pending: watchers of a daemon that died may still come back. */
  readonly holdUntilUsec: number
  readonly limits: OrchestratorLimits
}

interface OrchestratorLimits {
  /** The longest that one generation may wait for its watchers, whatever they ask for. */
  readonly maxDeadlineMs: number
}

/** What survives of an earlier daemon of this boot, or what a first one begins with. */
export type Beginning = Pick<
  OrchestratorState,
  | 'generation'
  | 'generationId'
  | 'phase'
  | 'cause'
  | 'reason'
  | 'evidence'
  | 'kernelRandom'
  | 'changedAtUsec'
  | 'readyAtUsec'
  | 'holdUntilUsec'
  | 'limits'
>

export function beginWith(beginning: Beginning): OrchestratorState {
  return { ...beginning, watchers: WatcherTable.none(), pending: undefined, attempts: 0 }
}

/** Ready, but not as it should be: somebody has not adjusted, or the kernel's generator may repeat itself. */
export function isDegraded(state: OrchestratorState): boolean {
  if (state.kernelRandom === 'unproven' || state.kernelRandom === 'failed') return true
  return state.watchers.outdated > state.watchers.pending
}

/** When the machine next wants a `time` event, or undefined. Costs a look at every watcher. */
export function nextWakeUsec(state: OrchestratorState): number | undefined {
  let next = Number.POSITIVE_INFINITY
  for (const { dueAtUsec } of state.watchers) if (dueAtUsec !== undefined) next = Math.min(next, dueAtUsec)
  if (state.phase === 'adjusting' && state.watchers.pending === 0) next = Math.min(next, state.holdUntilUsec)
  return Number.isFinite(next) ? next : undefined
}
