import { due } from './debt.ts'
import type { OrchestratorEffect } from './events.ts'
import { closeEntry } from './log.ts'
import { hasBegun, stageAfter } from './stages.ts'
import { isDegraded, type OrchestratorState } from './state.ts'
import type { Step } from './step.ts'

/** While adjusting: begins the next stage when nobody of those before is waited for, and says `ready` after the last. */
export function settle(state: OrchestratorState, nowUsec: number): Step {
  // With another restore declared, this generation is of the past: nobody is ready in it.
  if (state.phase !== 'adjusting' || state.pending) return [state, []]
  const effects: OrchestratorEffect[] = []
  let next = state
  while (next.stage === undefined || next.watchers.blockingUpTo(next.stage) === 0) {
    const stage = stageAfter(next.stage)
    if (stage === undefined) return finish(next, effects, nowUsec)
    next = beginStage(next, stage, nowUsec)
    effects.push({ type: 'tell', stage })
  }
  if (effects.length > 0) effects.push({ type: 'rearm' })
  return [next, effects]
}

function beginStage(
  state: OrchestratorState,
  stage: NonNullable<OrchestratorState['stage']>,
  nowUsec: number,
): OrchestratorState {
  const { watchers } = state
  const begun = { ...state, stage, stageBeganUsec: nowUsec }
  if (watchers.blockingUpTo(stage) === 0) return begun
  const toldNow = watchers.map((watcher) =>
    watcher.owing === 'pending' && watcher.dueAtUsec === undefined && hasBegun(watcher.stage, stage)
      ? due(watcher, nowUsec, watcher.deadlineMs)
      : watcher,
  )
  return { ...begun, watchers: toldNow }
}

function finish(state: OrchestratorState, effects: OrchestratorEffect[], nowUsec: number): Step {
  // The last that was waited for, before the time for others to come back is over: the deadline is that time now.
  if (nowUsec < state.holdUntilUsec) return [state, [...effects, { type: 'rearm' }]]
  const ready: OrchestratorState = { ...state, phase: 'running', stage: undefined, readyAtUsec: nowUsec }
  const outcome = isDegraded(ready) ? 'degraded' : 'ready'
  return [
    closeEntry(ready, outcome),
    [...effects, { type: 'publish', change: 'phase' }, { type: 'announce', event: 'ready' }],
  ]
}
