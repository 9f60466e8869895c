import { describe, expect, it } from 'vitest'
import { owner, Play } from '../../../../test/support/orchestrator/play.ts'
import { checkConfirmation, checkOwner } from './machine.ts'
import { isDegraded, nextWakeUsec, slowest } from './state.ts'

describe('ready', () => {
  it('is said when the last tracked watcher has confirmed, and not before', () => {
    const play = new Play().join('1').join('2').restored()
    expect(play.state.phase).toBe('adjusting')
    expect(play.confirm('1').announced).toEqual([])
    expect(play.confirm('2').effects).toEqual([
      { type: 'publish', change: 'phase' },
      { type: 'announce', event: 'ready' },
    ])
    expect(isDegraded(play.state)).toBe(false)
  })

  it('is degraded where the kernel may repeat itself', () => {
    for (const [kernelRandom, degraded] of [
      ['kernel', false],
      ['snapsafe', false],
      ['off', false],
      ['unproven', true],
      ['failed', true],
    ] as const) {
      const play = new Play().restore().unique(1, kernelRandom)
      expect(play.announced).toEqual(['generation', 'ready'])
      expect([kernelRandom, isDegraded(play.state)]).toEqual([kernelRandom, degraded])
      expect(play.entry?.outcome).toBe(degraded ? 'degraded' : 'ready')
    }
  })

  it('waits the longest for those that owe the longest', () => {
    const play = new Play().join('1').join('2').join('3').join('4', { tracked: false }).restored()
    play.nowUsec += 10
    play.join('5', { adjustedTo: 0 }).confirm('2')
    const ids = (...those: [number, ((each: { id: string }) => boolean)?]) =>
      slowest(play.state, ...those).map(({ id }) => id)
    expect(ids(5)).toEqual(['1', '3', '5'])
    expect(ids(2)).toEqual(['1', '3'])
    expect(ids(2, ({ id }) => id !== '1')).toEqual(['3', '5'])
    // Who has come last, and owes the longest.
    play.nowUsec -= 20
    expect(play.join('6', { adjustedTo: 0 }).state.phase).toBe('adjusting')
    expect(ids(3)).toEqual(['6', '1', '3'])
  })
})

describe('a watcher', () => {
  it('that is not tracked owes nothing', () => {
    const play = new Play().join('1', { tracked: false }).restored()
    expect(play.state.phase).toBe('running')
    expect(play.confirm('1').watcher('1')).toMatchObject({ owing: 'no', adjustedTo: 1 })
    expect(play.confirm('1', 'cannot').watcher('1')).toMatchObject({ owing: 'no' })
    // And so there is nothing to be told of it afterwards.
    expect(play.answers).toEqual([])
  })

  it('that dies owes nothing', () => {
    const play = new Play().join('1').join('2').restored().confirm('1').leave('2')
    expect(play.announced).toEqual(['ready'])
    expect(isDegraded(play.state)).toBe(false)
    expect(play.answers).toEqual(['w1 confirmed', 'w2 left'])
    expect(play.leave('2').effects).toEqual([])
  })

  it('has an id that is never used again', () => {
    const play = new Play().join('7').leave('7').join('3')
    expect(play.state.lastWatcher).toBe(7)
  })

  it('that misses its deadline is named, and ready is degraded', () => {
    const play = new Play().join('1', { deadlineMs: 50 }).join('2', { deadlineMs: 100 }).restored()
    expect(nextWakeUsec(play.state)).toBe(play.nowUsec + 50_000)
    expect(play.wait(50).announced).toEqual([])
    expect(nextWakeUsec(play.state)).toBe(play.nowUsec + 50_000)
    expect(play.wait(50).announced).toEqual(['ready'])
    expect([...play.state.watchers].map(({ owing }) => owing)).toEqual(['deadline', 'deadline'])
    expect(isDegraded(play.state)).toBe(true)
    expect(play.answers).toEqual(['w1 late', 'w2 late'])
    expect(nextWakeUsec(play.state)).toBeUndefined()
  })

  it('is not late before its deadline, to the microsecond', () => {
    const play = new Play().join('1', { deadlineMs: 50 }).restored()
    play.nowUsec += 49_999
    expect(play.do({ type: 'time' }).watcher('1')?.owing).toBe('pending')
    play.nowUsec += 1
    expect(play.do({ type: 'time' }).watcher('1')?.owing).toBe('deadline')
  })

  it('that confirms after its deadline is adjusted after all', () => {
    const play = new Play().join('1', { deadlineMs: 50 }).restored().wait(50).confirm('1')
    expect(isDegraded(play.state)).toBe(false)
    expect(play.effects).toEqual([{ type: 'publish', change: 'counts' }])
    expect(play.watcher('1')).not.toHaveProperty('sinceUsec')
  })

  it('that says it failed is not waited for, and stays outdated', () => {
    const play = new Play().join('1').restored().confirm('1', 'no database')
    expect(play.announced).toEqual(['ready'])
    expect(isDegraded(play.state)).toBe(true)
    expect(play.watcher('1')).toMatchObject({ owing: 'failed', failure: 'no database' })
    expect(play.watcher('1')).not.toHaveProperty('dueAtUsec')
  })

  it('that fails after it has confirmed is outdated again, since then', () => {
    const play = new Play().join('1').restored().confirm('1')
    play.nowUsec += 5
    play.confirm('1', 'it broke after all')
    expect(play.watcher('1')).toMatchObject({ owing: 'failed', sinceUsec: play.nowUsec })
  })

  it('starts over with the next generation, whatever became of it in the one before', () => {
    const play = new Play().join('1').restored().confirm('1', 'no database').restored()
    expect(play.watcher('1')).toMatchObject({ owing: 'pending', dueAtUsec: play.nowUsec + 10_000_000 })
    expect(play.watcher('1')).not.toHaveProperty('failure')
  })

  it('is confirmed by its own process only, and for the current generation only', () => {
    const { state } = new Play().join('1').restored()
    expect(checkConfirmation(state, '1', owner, 1)).toBe('ok')
    expect(checkConfirmation(state, '1', { ...owner, pid: 101 }, 1)).toBe('not-owner')
    expect(checkConfirmation(state, '1', { ...owner, uid: 0 }, 1)).toBe('not-owner')
    // The pid is another process's by now; or the one that has the connection's pid is not known.
    expect(checkConfirmation(state, '1', { ...owner, startTicks: 8 }, 1)).toBe('not-owner')
    expect(checkConfirmation(state, '1', { ...owner, startTicks: 0 }, 1)).toBe('not-owner')
    expect(checkConfirmation(state, '1', owner, 0)).toBe('stale')
    expect(checkConfirmation(state, '9', owner, 1)).toBe('no-such-watcher')
    const play = new Play(state).restore()
    expect(checkConfirmation(play.state, '1', owner, 1)).toBe('stale')
    expect(checkOwner(play.state, '1', owner)).toBe('ok')
  })

  it('that comes and goes is counted on the page', () => {
    const play = new Play().join('1')
    expect(play.effects).toEqual([{ type: 'publish', change: 'counts' }, { type: 'rearm' }])
    expect(play.leave('1').effects).toEqual([{ type: 'publish', change: 'counts' }])
    expect(play.join('2', { tracked: false }).effects).toEqual([{ type: 'rearm' }])
  })
})
