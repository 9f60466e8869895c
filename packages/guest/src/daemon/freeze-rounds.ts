import { FreezeError } from '../system/cgroup/freeze-error.ts'
import type { FreezePlan, GroupReason } from '../system/cgroup/freeze-plan.ts'

/** How often to look for groups that were made while the others were frozen. */
const maxRounds = 5

/** What stands still, and what was to and does not. */
export interface Frozen {
  readonly frozen: string[]
  readonly running: GroupReason[]
}

/**
 * Freezes what the plan says, and plans again until nothing new is found: what still runs may make groups beside those that
 * do not any more. What is new after the last round is named as running. Rejects with a FreezeError where the first plan has
 * nothing to freeze, and with whatever `freeze` rejects.
 */
export async function freezeInRounds(
  plan: () => FreezePlan,
  freeze: (groups: readonly string[]) => Promise<void>,
): Promise<Frozen> {
  let current = plan()
  if (current.freeze.length === 0) throw new FreezeError(nothingToFreeze(current.running))
  const frozen = new Set<string>()
  for (let round = 0; round < maxRounds; round++) {
    const fresh = current.freeze.filter((group) => !frozen.has(group))
    if (fresh.length === 0) break
    await freeze(fresh)
    for (const group of fresh) frozen.add(group)
    current = plan()
  }
  const late = current.freeze.filter((group) => !frozen.has(group))
  return {
    frozen: current.freeze.filter((group) => frozen.has(group)),
    running: [
      ...current.running,
      ...late.map((group) => ({ group, why: 'it was made while the others were frozen' })),
    ],
  }
}

function nothingToFreeze(running: readonly GroupReason[]): string {
  const reasons = running.map(({ group, why }) => `${group}: ${why}`)
  const why = reasons.length > 0 ? ` (${reasons.join('; ')})` : ''
  return `there is nothing to freeze${why}; name groups in [freeze], or set mode = "off"`
}
