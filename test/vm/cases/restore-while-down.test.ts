import { beforeAll, describe, expect, it } from 'vitest'
import { lacking } from '../../support/needs.ts'
import { type RestoreWhileDownResult, restoreWhileDown } from '../scenarios/restore-while-down.ts'

const lack = lacking('vm')

describe.skipIf(lack)(`a guest that is cloned while its daemon is dead${lack ? ` (${lack})` : ''}`, () => {
  let result: RestoreWhileDownResult

  beforeAll(async () => {
    result = await restoreWhileDown.run({ clones: 2, kernel: '6.12' })
  })

  it('is told of the restore by the next daemon, in each clone with an id of its own', () => {
    const { before, after } = result
    const told = { generation: before.generation + 1, cause: 'clone', phase: 'running' }
    expect(after).toMatchObject([told, told])
    expect(new Set([before, ...after].map(({ generationId }) => generationId)).size).toBe(3)
  })

  it('is told once: another restart finds nothing new', () => {
    expect(result.generationAfterRestart).toBe(result.before.generation + 1)
  })
})
