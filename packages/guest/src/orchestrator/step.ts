import type { OrchestratorEffect, OrchestratorEvent } from './events.ts'
import type { OrchestratorState } from './state.ts'

/** What an event makes of a state, and what is to be done about it, in this order. */
export type Step = readonly [OrchestratorState, readonly OrchestratorEffect[]]

/** One kind of event. */
export type EventOf<T extends OrchestratorEvent['type']> = Extract<OrchestratorEvent, { type: T }>

/** What `next` makes of the outcome of a step, with the effects of both. Not `then`: a module with that name is a thenable. */
export function andThen([state, effects]: Step, next: (state: OrchestratorState) => Step): Step {
  const [last, more] = next(state)
  return [last, [...effects, ...more]]
}
