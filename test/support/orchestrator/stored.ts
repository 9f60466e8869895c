import type { OrchestratorState } from '../../../packages/guest/src/orchestrator/state.ts'
import { beginWith } from '../../../packages/guest/src/orchestrator/state.ts'
import { WatcherTable } from '../../../packages/guest/src/orchestrator/watcher-table.ts'

/** A guest that has run for a second, where nobody watches. */
export function initial(change: Partial<OrchestratorState> = {}): OrchestratorState {
  const state = beginWith({
    generation: 0,
    generationId: 'first',
    phase: 'running',
    cause: 'boot',
    kernelRandom: 'boot',
    changedAtUsec: 0,
    readyAtUsec: 0,
    holdUntilUsec: 0,
    limits: { maxDeadlineMs: 60_000, graceMs: 2500 },
    ...change,
  })
  return { ...state, ...change }
}

/** The state as a daemon leaves it to the next one. */
export function store(state: OrchestratorState): string {
  return JSON.stringify({ ...state, watchers: [...state.watchers] })
}

export function restored(stored: string): OrchestratorState {
  const left = JSON.parse(stored)
  return { ...left, watchers: WatcherTable.of(left.watchers) }
}
