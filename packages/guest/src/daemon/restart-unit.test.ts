import { beforeEach, describe, expect, it } from 'vitest'
import { startTicksOf } from '../system/process-status.ts'
import { restartUnitOf, type Systemd } from './restart-unit.ts'

const { pid } = process
const mine = { pid, uid: 1000, startTicks: startTicksOf(pid) }
let restarted: string[]
beforeEach(() => {
  restarted = []
})

/** Where systemd runs, a test must not have it restart anything. */
function systemd(change: Partial<Systemd> & { mainPid?: number } = {}): Systemd {
  return {
    isBooted: () => true,
    cgroupOf: () => '/system.slice/system-web.slice/web.service/worker',
    async control(...args) {
      if (args[0] === 'show') return `${change.mainPid ?? pid}\n`
      restarted.push(args.join(' '))
      return ''
    },
    ...change,
  }
}

describe('the unit of a watcher', () => {
  it('is restarted for its main process', async () => {
    await restartUnitOf(mine, systemd())
    expect(restarted).toEqual(['--no-block restart -- web.service'])
  })

  it('is restarted for any process of root', async () => {
    await restartUnitOf({ ...mine, uid: 0 }, systemd({ mainPid: 1 }))
    expect(restarted).toEqual(['--no-block restart -- web.service'])
  })

  it.each([
    [
      'a user’s process that is not the main one',
      mine,
      { mainPid: 1 },
      'not the main process of web.service',
    ],
    ['a process that has ended', { ...mine, startTicks: mine.startTicks + 1 }, {}, 'has ended'],
    ['a process that is not known', { ...mine, startTicks: 0 }, {}, 'has ended'],
    ['a process in no unit', mine, { cgroupOf: () => '/user.slice/a.service' }, 'is in no unit'],
    ['a system without systemd', mine, { isBooted: () => false }, 'systemd does not run'],
  ])('is not restarted for %s', async (_, owner, change, why) => {
    await expect(restartUnitOf(owner, systemd(change))).rejects.toThrow(why)
    expect(restarted).toEqual([])
  })
})
