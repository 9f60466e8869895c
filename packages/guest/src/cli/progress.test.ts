import { describe, expect, it } from 'vitest'
import { aPlannedSnapshot, aState, aWatcher } from '../../../../test/support/values.ts'
import { describeNews, newsLines } from './progress.ts'

const state = aState({ generation: 4, phase: 'adjusting', stage: 'network', changedAtUsec: 1_000_000 })
const slow = aWatcher({ stage: 'network', sinceUsec: 1_000_000, dueAtUsec: 11_000_000 })
const next = aWatcher({ name: 'n'.repeat(128), pid: 4_194_304, uid: 65_534, sinceUsec: 2_000_000 })

describe('the progress of a wait', () => {
  it('is one line that names the slowest', () => {
    expect(describeNews({ state, progress: { confirmed: 3, of: 10, slowest: [slow, next] } })).toBe(
      'generation 4, adjusting (stage network), 3 of 10 adjusted; slowest: db (pid 12)',
    )
    expect(describeNews({ state, progress: { confirmed: 10, of: 10, slowest: [] } })).toBe(
      'generation 4, adjusting (stage network), 10 of 10 adjusted',
    )
  })

  it('is a table on a terminal, with the time that each is waited for', () => {
    const progress = { confirmed: 3, of: 10, slowest: [slow, next] }
    expect(newsLines({ state, progress }, 3_100_000)).toEqual([
      'generation 4, adjusting (stage network), 3 of 10 adjusted, 2.1 s',
      'NAME                              PID      USER   STAGE        WAITED  DUE IN',
      'db                                12       0      network      2.1 s   7.9 s',
      `${'n'.repeat(31)}…  4194304  65534  application  1.1 s   not begun`,
    ])
  })

  it('says when a deadline is over and the watcher is waited for all the same, and who is absent', () => {
    const progress = { confirmed: 0, of: 1, slowest: [{ ...slow, absent: true }] }
    expect(newsLines({ state, progress }, 12_000_000)[2]).toMatch(/ 11\.0 s +over, absent$/)
  })

  it('names who is asked while a snapshot is prepared for', () => {
    const quiesce = aPlannedSnapshot({ prepared: 1, of: 2, asking: 'db' })
    const quiescing = aState({ phase: 'quiescing', quiesce })
    const progress = { confirmed: 2, of: 2, slowest: [] }
    const line = 'generation 3, quiescing (1 of 2 watchers prepared), asking db, 2 of 2 adjusted'
    expect(describeNews({ state: quiescing, progress })).toBe(line)
    expect(newsLines({ state: quiescing, progress }, 0)).toEqual([line])
  })
})
