import fc from 'fast-check'
import { expect, it } from 'vitest'
import { action } from '../../../../test/support/orchestrator/actions.ts'
import { Actor } from '../../../../test/support/orchestrator/actor.ts'
import { initial } from '../../../../test/support/orchestrator/stored.ts'

/** What the project promises to try for each change. */
const leastSteps = 100_000
const limits = { maxDeadlineMs: 10_000, graceMs: 2500 }

const beginning = fc.record({
  phase: fc.constantFrom('running' as const, 'running' as const, 'adjusting' as const),
  holdUntilUsec: fc.constantFrom(0, 0, 2_500_000, 4_500_000),
  limits: fc.constant(limits),
})

it('keeps its promises whatever happens, in whatever order, and whenever the daemon is killed', () => {
  let steps = 0
  fc.assert(
    fc.property(beginning, fc.array(action, { minLength: 80, maxLength: 160 }), (begun, actions) => {
      const actor = new Actor(initial(begun))
      for (const one of actions) actor.do(one)
      actor.end()
      steps += actor.world.steps
    }),
    { numRuns: 2500 },
  )
  expect(steps).toBeGreaterThanOrEqual(leastSteps)
}, 300_000)
