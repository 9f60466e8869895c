import type { OrchestratorState } from '../orchestrator/state.ts'
import type { Caller } from './caller.ts'

/**
 * `view`, made once of each state for all who see the same of it: a thousand watchers that are told of a generation, and
 * everybody who waits for them. What it returns is shared, and must not be changed.
 */
export function oncePerState<T>(
  view: (state: OrchestratorState, caller: Caller) => T,
): (state: OrchestratorState, caller: Caller) => T {
  const views = new WeakMap<OrchestratorState, Map<number | 'all', T>>()
  return (state, caller) => {
    const who = caller.privileged ? 'all' : caller.uid
    const ofState = views.get(state) ?? new Map<number | 'all', T>()
    if (ofState.size === 0) views.set(state, ofState)
    const known = ofState.get(who)
    if (known !== undefined) return known
    const made = view(state, caller)
    ofState.set(who, made)
    return made
  }
}
