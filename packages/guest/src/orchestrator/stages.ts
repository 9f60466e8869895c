import type { Stage } from 'snapsafe/protocol'

/** In the order in which watchers are told of a generation. */
export const stages: readonly Stage[] = ['identity', 'network', 'application']

/** The stage after this one, the first one after undefined; undefined after the last. */
export function stageAfter(stage: Stage | undefined): Stage | undefined {
  return stages[stage === undefined ? 0 : stages.indexOf(stage) + 1]
}

/** Whether watchers of a stage are at work when the machine has come to `reached`. */
export function hasBegun(stage: Stage, reached: Stage | undefined): boolean {
  return reached !== undefined && stages.indexOf(stage) <= stages.indexOf(reached)
}
