import { describe, expect, it } from 'vitest'
import type { GroupReason } from '../system/cgroup/freeze-plan.ts'
import { freezeInRounds } from './freeze-rounds.ts'

const running: GroupReason[] = [{ group: '/r', why: 'so' }]

/** Plans one after another, the last of them for ever; and what was frozen on each. */
function rounds(...plans: string[][]) {
  const asked: (readonly string[])[] = []
  let at = 0
  const plan = () => ({ freeze: plans[Math.min(at++, plans.length - 1)] ?? [], running })
  const result = freezeInRounds(plan, async (groups) => {
    asked.push(groups)
  })
  return { asked, result }
}

describe('freezing in rounds', () => {
  it('looks again, until nothing is new', async () => {
    const { asked, result } = rounds(['/a', '/b'], ['/a', '/b', '/c'], ['/a', '/c'])
    expect(await result).toEqual({ frozen: ['/a', '/c'], running })
    expect(asked).toEqual([['/a', '/b'], ['/c']])
  })

  it('names the groups that are still made when it has looked often enough', async () => {
    const growing = Array.from({ length: 20 }, (_, index) =>
      Array.from({ length: index + 1 }, (_, n) => `/${n}`),
    )
    const { asked, result } = rounds(...growing)
    expect(await result).toEqual({
      frozen: ['/0', '/1', '/2', '/3', '/4'],
      running: [...running, { group: '/5', why: 'it was made while the others were frozen' }],
    })
    expect(asked).toHaveLength(5)
  })

  it('is an error where there is nothing to freeze, with the reasons', async () => {
    const { asked, result } = rounds([])
    await expect(result).rejects.toMatchObject({
      code: 'ERR_SNAPSAFE_FREEZE',
      message: 'there is nothing to freeze (/r: so); name groups in [freeze], or set mode = "off"',
    })
    expect(asked).toEqual([])
  })

  it('is no error where all the groups have gone meanwhile', async () => {
    expect(await rounds(['/a'], []).result).toEqual({ frozen: [], running })
  })
})
