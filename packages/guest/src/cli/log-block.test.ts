import { describe, expect, it } from 'vitest'
import { anEntry } from '../../../../test/support/values.ts'
import { logBlock } from './log-block.ts'

const answer = { name: 'db', pid: 12, uid: 0, stage: 'network' } as const

describe('an entry of the log', () => {
  it('is a head, what was seen, a timeline, and answers with how long each took', () => {
    const block = logBlock(
      anEntry({
        entry: 7,
        outcome: 'degraded',
        detail: '1 watcher has not adjusted',
        generation: 4,
        reason: 'nightly',
        evidence: [{ source: 'kmsg', detail: 'crng reseeded', atUsec: 2_000_500 }],
        steps: [
          { step: 'quiesce-requested', atUsec: 1_000_000 },
          { step: 'watchers-prepared', atUsec: 1_012_300 },
          { step: 'page-changed', atUsec: 2_000_900 },
          { step: 'ready', atUsec: 2_013_200 },
        ],
        answers: [
          { ...answer, answer: 'prepared', atUsec: 1_012_000 },
          { ...answer, answer: 'confirmed', atUsec: 2_005_900 },
          { ...answer, name: 'a web server', answer: 'late', detail: 'restarted', atUsec: 12_000_900 },
        ],
        answersLeftOut: 2,
      }),
    )
    expect(block).toBe(
      [
        'entry 7: generation 4, clone, degraded',
        '  began          1.000000 s after boot',
        '  id             0123456789abcdef0123456789abcdef',
        '  reason         nightly',
        '  outcome        1 watcher has not adjusted',
        '  kernel random  kernel',
        '  evidence  kmsg: crng reseeded (2.000500 s after boot)',
        '  STEP               AT         SINCE THE LAST',
        '  quiesce-requested  0.0 ms',
        '  watchers-prepared  12.3 ms    +12.3 ms',
        '  page-changed       1000.9 ms  +988.6 ms',
        '  ready              1013.2 ms  +12.3 ms',
        '  NAME          PID  USER  STAGE    ANSWER     AFTER       DETAIL',
        '  db            12   0     network  prepared   12.0 ms',
        '  db            12   0     network  confirmed  5.0 ms',
        '  a web server  12   0     network  late       10000.0 ms  restarted',
        '  2 more answers, which the daemon did not keep',
      ].join('\n'),
    )
  })

  it('is short where little is known', () => {
    expect(logBlock(anEntry())).toBe(
      [
        'entry 1: generation 3, clone, open',
        '  id             0123456789abcdef0123456789abcdef',
        '  kernel random  kernel',
      ].join('\n'),
    )
  })

  it('does not say how long an answer took that nobody asked for', () => {
    const steps = [{ step: 'page-changed', atUsec: 2_000_000 }]
    const block = logBlock(anEntry({ steps, answers: [{ ...answer, answer: 'left', atUsec: 1_000_000 }] }))
    expect(block).toMatch(/ left {4}-$/m)
  })
})
