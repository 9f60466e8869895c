import type { Cause, Evidence, KernelRandom, LogEntry, Phase, Running, Stage } from 'snapsafe/protocol'
import { isBlocking, type WatcherRecord, WatcherTable } from './watcher-table.ts'

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

/** A planned snapshot, from the call of Quiesce until the workload runs again. */
export interface PlannedSnapshot {
  /** Which of this page's life it is, from 1. */
  readonly quiesce: number
  readonly reason: string | undefined
  readonly callerPid: number
  /** Vetoes and watchers that do not answer do not stand in its way. */
  readonly force: boolean
  /** watchers: they are asked. freezing: the workload is being frozen. frozen: it is; the phase is `quiesced`. */
  readonly step: 'watchers' | 'freezing' | 'frozen'
  /** The watcher that is being asked. */
  readonly asking: string | undefined
  /** Until when watchers may prepare; while freezing, until when the workload has to be frozen. */
  readonly deadlineUsec: number
  readonly thawAfterMs: number
  /** Known when it is frozen. */
  readonly thawAtUsec: number | undefined
  /** Groups of processes that are frozen, and those that were to be and are not. */
  readonly frozen: readonly string[]
  readonly running: readonly Running[]
}

/** All that the orchestrator knows. Immutable, and JSON but for the table. Times are CLOCK_BOOTTIME in microseconds. */
export interface OrchestratorState {
  readonly generation: number
  readonly generationId: string
  readonly phase: Phase
  readonly cause: Cause
  readonly reason: string | undefined
  readonly evidence: readonly Evidence[]
  readonly kernelRandom: KernelRandom
  readonly changedAtUsec: number
  readonly readyAtUsec: number | undefined
  /** Which watchers are at work, and since when; only while adjusting. */
  readonly stage: Stage | undefined
  readonly stageBeganUsec: number
  readonly watchers: WatcherTable
  readonly pending: PendingRestore | undefined
  readonly attempts: number
  /** Only while quiescing and quiesced. */
  readonly snapshot: PlannedSnapshot | undefined
  readonly quiesces: number
  /** The last restore that the host named: naming it again is no other restore. */
  readonly restoreId: string | undefined
  /** The highest id that a watcher had. */
  readonly lastWatcher: number
  /** Not ready before this, although nobody is waited for: watchers of a daemon that left nothing may still come back. */
  readonly holdUntilUsec: number
  /** The last restores and planned snapshots, the oldest first; the last of them may be open. */
  readonly log: readonly LogEntry[]
  readonly limits: OrchestratorLimits
}

interface OrchestratorLimits {
  /** The longest that one stage of a generation may wait for its watchers, whatever they ask for. */
  readonly maxDeadlineMs: number
  /** How long a watcher whose connection is gone, and whose process lives, may take to come back. */
  readonly graceMs: number
}

/** What a first daemon begins with, or one that knows no more than what the page says. */
export type Beginning = Pick<
  OrchestratorState,
  | 'generation'
  | 'generationId'
  | 'phase'
  | 'cause'
  | 'kernelRandom'
  | 'changedAtUsec'
  | 'readyAtUsec'
  | 'holdUntilUsec'
  | 'limits'
>

export function beginWith(beginning: Beginning): OrchestratorState {
  return {
    ...beginning,
    reason: undefined,
    evidence: [],
    stage: beginning.phase === 'adjusting' ? 'application' : undefined,
    stageBeganUsec: beginning.changedAtUsec,
    watchers: WatcherTable.none(),
    pending: undefined,
    attempts: 0,
    snapshot: undefined,
    quiesces: 0,
    restoreId: undefined,
    lastWatcher: 0,
    log: [],
  }
}

/** Ready, but not as it should be: somebody has not adjusted, or the kernel's generator may repeat itself. */
export function isDegraded(state: OrchestratorState): boolean {
  if (state.kernelRandom === 'unproven' || state.kernelRandom === 'failed') return true
  return state.watchers.outdated > state.watchers.pending
}

/** Of those that `ready` waits for, and that are meant, the `count` that it waits for the longest; the longest first. */
export function slowest(
  state: OrchestratorState,
  count: number,
  isMeant: (watcher: WatcherRecord) => boolean = () => true,
): WatcherRecord[] {
  const found: WatcherRecord[] = []
  for (const watcher of state.watchers) {
    if (!isBlocking(watcher) || !isMeant(watcher)) continue
    const last = found.at(-1)
    if (last && found.length === count && !owesLonger(watcher, last)) continue
    const at = found.findIndex((other) => owesLonger(watcher, other))
    found.splice(at === -1 ? found.length : at, 0, watcher)
    if (found.length > count) found.pop()
  }
  return found
}

function owesLonger(one: WatcherRecord, other: WatcherRecord): boolean {
  const sinceUsec = (one.sinceUsec ?? 0) - (other.sinceUsec ?? 0)
  return sinceUsec < 0 || (sinceUsec === 0 && Number(one.id) < Number(other.id))
}

/** When the machine next wants a `time` event, or undefined. Costs a look at every watcher. */
export function nextWakeUsec(state: OrchestratorState): number | undefined {
  const { snapshot, watchers, pending } = state
  const times: (number | undefined)[] = []
  for (const { absentUntilUsec, dueAtUsec } of watchers)
    times.push(absentUntilUsec, areDeadlinesHeld(state) ? undefined : dueAtUsec)
  if (!pending) {
    if (watchers.blockingUpTo('application') === 0) times.push(holdOf(state))
    if (snapshot) times.push(snapshot.step === 'frozen' ? snapshot.thawAtUsec : snapshot.deadlineUsec)
  }
  let next = Number.POSITIVE_INFINITY
  for (const time of times) if (time !== undefined && time < next) next = time
  return Number.isFinite(next) ? next : undefined
}

/**
 * Whether no deadline of a watcher passes: a restore waits for its generation, and the one that they are of is of the past; or
 * they stand still.
 */
export function areDeadlinesHeld({ pending, snapshot }: OrchestratorState): boolean {
  return pending !== undefined || (snapshot !== undefined && snapshot.step !== 'watchers')
}

function holdOf({ phase, holdUntilUsec }: OrchestratorState): number | undefined {
  return phase === 'adjusting' ? holdUntilUsec : undefined
}
