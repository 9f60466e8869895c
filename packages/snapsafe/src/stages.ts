import type { Stage } from './protocol/interface.generated.ts'

/** In the order in which they begin. */
export const stages: readonly Stage[] = ['identity', 'network', 'application']

/** A later stage has a greater rank. */
export function stageRank(stage: Stage): number {
  return stages.indexOf(stage)
}
