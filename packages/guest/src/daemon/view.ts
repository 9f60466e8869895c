import type { State, Watcher } from 'snapsafe/protocol'
import type { OrchestratorState } from '../orchestrator/state.ts'
import { isDegraded } from '../orchestrator/state.ts'
import type { WatcherRecord } from '../orchestrator/watcher-table.ts'
import type { Caller } from './caller.ts'

/** How many watchers one answer names at most as missed; ListWatchers names all. */
const maxNamed = 100

/** The state as the interface describes it, and as this caller may see it. */
export function viewState(state: OrchestratorState, caller: Caller): State {
  const { watchers } = state
  const view: State = {
    generation: state.generation,
    generationId: state.generationId,
    phase: state.phase,
    cause: state.cause,
    evidence: [...state.evidence],
    kernelRandom: state.kernelRandom,
    changedAtUsec: state.changedAtUsec,
    trackedWatchers: watchers.tracked,
    outdatedWatchers: watchers.outdated,
    degraded: isDegraded(state),
    // Looking at every watcher for each of them would cost the square of their number.
    missed: watchers.outdated > watchers.pending ? missed(state, caller) : [],
  }
  if (state.reason !== undefined) view.reason = state.reason
  if (state.readyAtUsec !== undefined) view.readyAtUsec = state.readyAtUsec
  return view
}

/** The watchers that this caller may see. */
export function viewWatchers(state: OrchestratorState, caller: Caller): Watcher[] {
  return [...state.watchers].filter((watcher) => maySee(caller, watcher)).map(viewWatcher)
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
  const { id, name, owner, tracked, deadlineMs, adjustedTo, owing, failure } = watcher
  return {
    watcher: id,
    name,
    pid: owner.pid,
    uid: owner.uid,
    tracked,
    deadlineMs,
    adjustedTo,
    owing,
    ...(failure !== undefined && { failure }),
  }
}
