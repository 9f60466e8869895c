import { beforeAll, describe, expect, it } from 'vitest'
import { lacking } from '../../support/needs.ts'
import { type InGuestResult, inGuest } from '../scenarios/in-guest.ts'

const lack = lacking('vm')

describe.skipIf(lack)(`in a guest of its own${lack ? ` (${lack})` : ''}`, () => {
  let result: InGuestResult

  beforeAll(async () => {
    result = await inGuest.run({ clones: 0, kernel: '6.12' })
  })

  it('a line that root writes to the kernel log is not taken for a restore', () => {
    expect(result.generationAfterForgery).toBe(0)
  })

  it('a bump makes the kernel reseed with bytes of a generator, and is not degraded', () => {
    expect(result.bump).toEqual({ generation: 1, kernelRandom: 'snapsafe', degraded: false })
  })

  it('an ordinary user can watch and cannot bump', () => {
    expect(result.unprivileged).toMatchObject({ watchExit: 0, bumpExit: 4 })
    expect(result.unprivileged.bumpError).toContain('only for root, or a member of the group snapsafe')
  })

  it('doctor finds everything that is needed', () => {
    expect(result.doctor).toEqual({
      daemon: 'ok',
      sources: 'ok',
      page: 'ok',
      addon: 'ok',
      'kernel-log': 'ok',
      'vmgenid-device': 'ok',
      'vmgenid-driver': 'ok',
      freeze: 'ok',
    })
  })
})
