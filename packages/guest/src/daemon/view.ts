import type { LogEntry, PlannedSnapshot, Progress, State, Watcher } from 'snapsafe/protocol'
import type { OrchestratorState } from '../orchestrator/state.ts'
import { isDegraded, slowest } from '../orchestrator/state.ts'
import type { WatcherRecord } from '../orchestrator/watcher-table.ts'
import type { Caller } from './caller.ts'
import { oncePerState } from './once-per-state.ts'

/** How many watchers one answer names at most as missed; ListWatchers names all. */
const maxNamed = 100
const maxSlowest = 5

/** The state as the interface describes it, and as this caller may see it. */
export const viewState = oncePerState((state, caller): State => {
  const { watchers, reason, readyAtUsec, stage } = state
  return {
    generation: state.generation,
    generationId: state.generationId,
    phase: state.phase,
    cause: state.cause,
    ...(reason !== undefined && { reason }),
    evidence: [...state.evidence],
    kernelRandom: state.kernelRandom,
    changedAtUsec: state.changedAtUsec,
    ...(readyAtUsec !== undefined && { readyAtUsec }),
    trackedWatchers: watchers.tracked,
    outdatedWatchers: watchers.outdated,
    degraded: isDegraded(state),
    // Looking at every watcher for each of them would cost the square of their number.
    missed: watchers.outdated > watchers.pending ? missed(state, caller) : [],
    ...(stage !== undefined && { stage }),
    ...(state.snapshot && { quiesce: viewSnapshot(state, state.snapshot, caller) }),
  }
})

/** How far the watchers are, with those that are waited for as far as this caller may see them. */
export const viewProgress = oncePerState((state, caller): Progress => {
  const { tracked, outdated } = state.watchers
  const waitedFor = slowest(state, maxSlowest, (watcher) => maySee(caller, watcher))
  return { confirmed: tracked - outdated, of: tracked, slowest: waitedFor.map(viewWatcher) }
})

/** The watchers that this caller may see. */
export function viewWatchers(state: OrchestratorState, caller: Caller): Watcher[] {
  return [...state.watchers].filter((watcher) => maySee(caller, watcher)).map(viewWatcher)
}

/** An entry of the log, with the answers that this caller may see. */
export function viewEntry(entry: LogEntry, caller: Caller): LogEntry {
  if (caller.privileged) return entry
  const { detail: _, ...rest } = entry
  // The detail may name a watcher of somebody else.
  return { ...rest, answers: entry.answers.filter(({ uid }) => uid === caller.uid) }
}

function viewSnapshot(
  { watchers }: OrchestratorState,
  snapshot: NonNullable<OrchestratorState['snapshot']>,
  caller: Caller,
): PlannedSnapshot {
  const { quiesce, reason, deadlineUsec, thawAtUsec, frozen, running } = snapshot
  const asking = watchers.get(snapshot.asking ?? '')
  let [prepared, of] = [0, 0]
  for (const watcher of watchers) {
    if (!watcher.beforeSnapshot) continue
    of++
    if (watcher.askedFor === quiesce && watcher !== asking) prepared++
  }
  return {
    quiesce,
    ...(reason !== undefined && { reason }),
    deadlineUsec,
    ...(thawAtUsec !== undefined && { thawAtUsec }),
    prepared,
    of,
    ...(asking && maySee(caller, asking) && { asking: asking.name }),
    frozen: [...frozen],
    running: [...running],
  }
}

function missed(state: OrchestratorState, caller: Caller): Watcher[] {
  const named: Watcher[] = []
  for (const watcher of state.watchers) {
    if (watcher.owing !== 'deadline' && watcher.owing !== 'failed') continue
    if (!maySee(caller, watcher)) continue
    named.push(viewWatcher(watcher))
    if (named.length === maxNamed) break
  }
  return named
}

function maySee(caller: Caller, watcher: WatcherRecord): boolean {
  return caller.privileged || caller.uid === watcher.owner.uid
}

function viewWatcher(watcher: WatcherRecord): Watcher {
  const { id, name, owner, failure, sinceUsec, dueAtUsec, absentUntilUsec } = watcher
  return {
    watcher: id,
    name,
    pid: owner.pid,
    uid: owner.uid,
    tracked: watcher.tracked,
    deadlineMs: watcher.deadlineMs,
    adjustedTo: watcher.adjustedTo,
    owing: watcher.owing,
    ...(failure !== undefined && { failure }),
    stage: watcher.stage,
    beforeSnapshot: watcher.beforeSnapshot,
    ...(sinceUsec !== undefined && { sinceUsec }),
    ...(dueAtUsec !== undefined && { dueAtUsec }),
    absent: absentUntilUsec !== undefined,
  }
}
