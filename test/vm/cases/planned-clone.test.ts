import { beforeAll, describe, expect, it } from 'vitest'
import { lacking } from '../../support/needs.ts'
import { type PlannedCloneResult, plannedClone } from '../scenarios/planned-clone.ts'

const clones = 8
const lack = lacking('vm')

describe.skipIf(lack)(
  `${clones} clones of a guest that was quiesced while two loops drew without pause${lack ? ` (${lack})` : ''}`,
  () => {
    let result: PlannedCloneResult

    beforeAll(async () => {
      result = await plannedClone.run({ clones, kernel: '6.12' })
    })

    it('share no result that was drawn after the restore', () => {
      expect(result.clones.map(({ equalResults }) => equalResults)).toEqual(Array(clones).fill(0))
      for (const { loops } of result.clones) {
        expect(loops.c.results).toBeGreaterThanOrEqual(20_000)
        expect(loops.node.results).toBeGreaterThanOrEqual(3_000)
      }
    })

    it('ran no step of the loops between restore and page change', () => {
      expect(result.clones.map(({ loopStepsBeforeBump }) => loopStepsBeforeBump)).toEqual(
        Array(clones).fill(0),
      )
    })

    it('stood still from the quiesce on, by the loops’ own counters', () => {
      const { quiesced } = result
      expect(quiesced).toMatchObject({ phase: 'quiesced', frozen: ['/workload'] })
      expect(quiesced.stepsLater).toEqual(quiesced.steps)
      expect(quiesced.steps.c).toBeGreaterThan(quiesced.stepsBefore.c)
      expect(quiesced.steps.node).toBeGreaterThan(quiesced.stepsBefore.node)
    })

    it('thawed by themselves, each in a generation with an id of its own', () => {
      for (const { generation, phase } of result.clones) {
        expect({ generation, phase }).toEqual({ generation: 1, phase: 'running' })
      }
      expect(new Set(result.clones.map(({ log }) => log.generationId)).size).toBe(clones)
    })

    it('have on record when each step was: the thaw comes after the page', () => {
      for (const { log } of result.clones) {
        const at = Object.fromEntries(log.steps.map(({ step, atUsec }) => [step, atUsec]))
        expect(at['restore-declared']).toBeLessThanOrEqual(at['kernel-unique'] ?? 0)
        expect(at['kernel-unique']).toBeLessThanOrEqual(at['page-changed'] ?? 0)
        expect(at['page-changed']).toBeLessThanOrEqual(at.thawed ?? 0)
      }
    })

    it('would have shared results without the quiesce', () => {
      expect(result.unplanned.equalResults).toBeGreaterThan(0)
      for (const { loopStepsBeforeBump } of result.unplanned.clones) {
        expect(loopStepsBeforeBump).toBeGreaterThan(0)
      }
    })

    it('leave nothing for the scenario to complain of', () => {
      expect(result).toMatchObject({ ok: true, problems: [] })
    })
  },
)
