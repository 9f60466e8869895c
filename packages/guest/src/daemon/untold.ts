import type { WatchEvent } from 'snapsafe/protocol'
import type { OrchestratorEffect } from '../orchestrator/events.ts'
import { hasBegun } from '../orchestrator/stages.ts'
import type { OrchestratorState } from '../orchestrator/state.ts'
import type { WatcherRecord } from '../orchestrator/watcher-table.ts'

/** An effect that watchers are told of. */
export type Telling = Extract<OrchestratorEffect, { type: 'tell' | 'announce' }>

export function isTelling(effect: OrchestratorEffect): effect is Telling {
  return effect.type === 'tell' || effect.type === 'announce'
}

/**
 * What a watcher, whose connection has outlived the daemon before this one, is told once more. `untold`: what that daemon may
 * have died before it told. Who owes a confirmation hears of it in any case: it may have been confirming to a dead daemon.
 */
export function untoldTo(
  { id, stage, owing, beforeSnapshot }: WatcherRecord,
  state: OrchestratorState,
  untold: readonly Telling[],
): Exclude<WatchEvent, 'registered'>[] {
  const announced = untold.flatMap((effect) => (effect.type === 'announce' ? [effect.event] : []))
  const mayNotKnow = untold.some((effect) => effect.type === 'tell' && effect.stage === stage)
  const events: Exclude<WatchEvent, 'registered'>[] = []
  // With a restore declared, another generation is about to be told of.
  if (!state.pending && (mayNotKnow || owing !== 'no') && isTold(state, id)) events.push('generation')
  if (announced.includes('ready')) events.push('ready')
  if (announced.includes('resumed') && beforeSnapshot) events.push('resumed')
  return events
}

/** Whether it is outdated, and it is its turn to adjust. */
export function isTold({ watchers, generation, phase, stage }: OrchestratorState, id: string): boolean {
  const watcher = watchers.get(id)
  if (!watcher || watcher.adjustedTo === generation) return false
  return phase !== 'adjusting' || hasBegun(watcher.stage, stage)
}
