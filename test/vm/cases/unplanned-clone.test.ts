import { beforeAll, describe, expect, it } from 'vitest'
import { lacking } from '../../support/needs.ts'
import { type UnplannedCloneResult, unplannedClone } from '../scenarios/unplanned-clone.ts'

const lack = lacking('vm')

describe.skipIf(lack)(
  `two clones of a running guest, restored without a warning${lack ? ` (${lack})` : ''}`,
  () => {
    let result: UnplannedCloneResult

    beforeAll(async () => {
      result = await unplannedClone.run({ clones: 2, kernel: '6.12' })
    })

    it('share no value that the guarded program gives out', () => {
      const kinds = Object.keys(result.equal.guarded)
      expect(kinds).toEqual(expect.arrayContaining(['sessionKey', 'randomUUID', 'randomBytes', 'ed25519']))
      expect(result.equal.guarded).toEqual(Object.fromEntries(kinds.map((kind) => [kind, 0])))
      for (const { values } of result.clones) expect(values.guarded.randomUUID).toHaveLength(200)
    })

    it('share every value that the ordinary program gives out', () => {
      const { ordinary } = result.equal
      expect(ordinary).toMatchObject({
        sessionKey: 1,
        instanceId: 1,
        randomUUID: 200,
        randomBytes: 200,
        ed25519: 2,
      })
    })

    it('are each one generation further, with an id of their own', () => {
      for (const { before, after } of result.clones) expect(after.generation).toBe(before.generation + 1)
      const ids = result.clones.flatMap(({ before, after }) => [before.generationId, after.generationId])
      expect(new Set(ids).size).toBe(3)
    })

    it('are ready when every tracked watcher has confirmed', () => {
      for (const { watchers, after, degraded } of result.clones) {
        expect(degraded).toBe(false)
        expect(watchers.filter(({ tracked }) => tracked)).toMatchObject([
          { name: 'session-keys', uid: 1000, adjustedTo: after.generation, owing: 'no' },
        ])
      }
    })

    it('found out by the kernel log, after the kernel had reseeded itself', () => {
      for (const { cause, evidence, kernelRandom } of result.clones) {
        expect({ cause, kernelRandom }).toEqual({ cause: 'clone', kernelRandom: 'kernel' })
        expect(evidence.map(({ source }) => source)).toEqual(['kmsg'])
      }
    })

    it('leave nothing for the scenario to complain of', () => {
      expect(result).toMatchObject({ ok: true, problems: [] })
    })
  },
)
