import { beforeAll, describe, expect, it } from 'vitest'
import { lacking } from '../../support/needs.ts'
import { type SystemdFreezeResult, systemdFreeze } from '../scenarios/systemd-freeze.ts'

const lack = lacking('vm')

describe.skipIf(lack)(`a planned snapshot under systemd${lack ? ` (${lack})` : ''}`, () => {
  let result: SystemdFreezeResult

  beforeAll(async () => {
    result = await systemdFreeze.run({ clones: 1, kernel: '6.12' })
  })

  it('freezes every unit, and no slice, so that systemd can start units meanwhile', () => {
    const { frozen, standsStill } = result.quiesced
    expect(frozen).toEqual(
      expect.arrayContaining([
        '/system.slice/dbus.service',
        '/system.slice/work-system.service',
        '/user.slice/user-1000.slice/work-user.service',
      ]),
    )
    expect(frozen.filter((group) => group.endsWith('.slice'))).toEqual([])
    expect(standsStill).toBe(true)
  })

  it('is undone in a new generation when the daemon is killed', () => {
    expect(result.afterKill).toEqual({
      generation: 1,
      cause: 'ambiguous',
      degraded: false,
      phase: 'running',
      stillFrozen: [],
    })
  })

  it('lets a clone go on in a generation of its own', () => {
    expect(result.clones).toEqual([
      { generation: 2, cause: 'clone', degraded: false, phase: 'running', stillFrozen: [] },
    ])
    expect(result.problems).toEqual([])
  })
})
