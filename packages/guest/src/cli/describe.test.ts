import { describe, expect, it } from 'vitest'
import { aPlannedSnapshot, aState, aWatcher } from '../../../../test/support/values.ts'
import { describeState, describeWatcher } from './describe.ts'
import { plannedRows } from './planned-snapshot.ts'

describe('a state in one line', () => {
  it.each([
    ['running (ready)', {}],
    ['running (ready, degraded)', { degraded: true }],
    ['adjusting (stage network)', { phase: 'adjusting', stage: 'network' }],
    ['adjusting', { phase: 'adjusting' }],
    [
      'quiescing (1 of 2 watchers prepared)',
      { phase: 'quiescing', quiesce: aPlannedSnapshot({ prepared: 1, of: 2 }) },
    ],
    ['quiesced (1 cgroup frozen)', { phase: 'quiesced', quiesce: aPlannedSnapshot({ frozen: ['/a'] }) }],
    ['quiesced (0 cgroups frozen)', { phase: 'quiesced', quiesce: aPlannedSnapshot() }],
  ] as const)('says %s', (phase, fields) => {
    const state = aState({ ...fields, trackedWatchers: 3, outdatedWatchers: 1 })
    expect(describeState(state)).toBe(`generation 3, ${phase}, clone, 2 of 3 watchers adjusted`)
  })
})

describe('a watcher that has not adjusted', () => {
  it.each([
    ['db (pid 12, user 0, pending)', { owing: 'pending' }],
    ['db (pid 12, user 0, pending, absent)', { owing: 'pending', absent: true }],
    ['db (pid 12, user 0, missed its deadline)', { owing: 'deadline' }],
    ['db (pid 12, user 0, failed: no disk)', { owing: 'failed', failure: 'no disk' }],
  ] as const)('is named with the reason: %s', (text, fields) => {
    expect(describeWatcher(aWatcher(fields))).toBe(text)
  })
})

describe('a planned snapshot', () => {
  it('names whom it asks, and when it is given up, while watchers prepare', () => {
    const planned = aPlannedSnapshot({ quiesce: 7, reason: 'nightly', prepared: 1, of: 3, asking: 'db' })
    expect(plannedRows(planned, 7_900_000)).toEqual([
      ['snapshot', 'number 7 (nightly)'],
      ['prepared', '1 of 3 watchers, asking db'],
      ['given up', 'in 2.1 s, if not all are prepared'],
    ])
  })

  it('names what is frozen and what is not, and when it is thawed, when it is frozen', () => {
    const planned = aPlannedSnapshot({
      frozen: ['/user.slice', '/system.slice/db.service'],
      running: [{ group: '/init.scope', why: 'it holds the first process' }],
      thawAtUsec: 60_000_000,
    })
    expect(plannedRows(planned, 0).slice(2)).toEqual([
      ['frozen', '/user.slice'],
      ['frozen', '/system.slice/db.service'],
      ['goes on', '/init.scope: it holds the first process'],
      ['thawed', 'in 60.0 s, in a new generation, if nobody resumes before'],
    ])
  })
})
