import { describe, expect, it } from 'vitest'
import { owner, Play } from '../../../../test/support/orchestrator/play.ts'
import { isDegraded, nextWakeUsec } from './state.ts'

const graceMs = 2500

describe('a watcher whose connection is lost, and whose process lives', () => {
  it('is waited for a moment longer', () => {
    const play = new Play().join('1').restored().leave('1', true)
    expect(play.announced).toEqual([])
    expect(play.types).toContain('rearm')
    expect(play.state.watchers.absent).toBe(1)
    expect(nextWakeUsec(play.state)).toBe(play.nowUsec + graceMs * 1000)
    expect(play.wait(graceMs - 1).announced).toEqual([])
    expect(play.wait(1).announced).toEqual(['ready'])
    expect(isDegraded(play.state)).toBe(false)
    expect(play.answers).toEqual(['w1 left'])
  })

  it('comes back to its debt and to its time', () => {
    const play = new Play().join('1').restored()
    const { dueAtUsec, sinceUsec } = play.watcher('1') ?? {}
    play.wait(9000).leave('1', true).wait(100).join('2', { name: 'w1', adjustedTo: 0 })
    expect(play.state.watchers.size).toBe(1)
    expect(play.watcher('2')).toMatchObject({ owing: 'pending', dueAtUsec, sinceUsec })
    expect(play.watcher('2')).not.toHaveProperty('absentUntilUsec')
    expect(play.wait(899).announced).toEqual([])
    expect(play.wait(1).announced).toEqual(['ready'])
  })

  it('comes back to nothing where it has adjusted meanwhile', () => {
    const play = new Play().join('1').restored().leave('1', true).join('2', { name: 'w1', adjustedTo: 1 })
    expect(play.announced).toEqual(['ready'])
    expect(play.watcher('2')).toMatchObject({ owing: 'no' })
  })

  it('may confirm before it is back', () => {
    const play = new Play().join('1').restored().leave('1', true).confirm('1')
    expect(play.announced).toEqual(['ready'])
  })

  it('is told with its stage when it comes back before that', () => {
    const play = new Play().join('1', { stage: 'identity' }).join('2').restored().leave('2', true)
    play.join('3', { name: 'w2', adjustedTo: 0 })
    expect(play.watcher('3')?.dueAtUsec).toBeUndefined()
    expect(play.confirm('1').watcher('3')?.dueAtUsec).toBe(play.nowUsec + 10_000_000)
  })

  it('is late where its time passes meanwhile, and has no other when it is back', () => {
    const play = new Play().join('1', { deadlineMs: 50 }).join('2').restored().leave('1', true).wait(50)
    expect(play.answers).toEqual(['w1 late'])
    play.join('3', { name: 'w1', deadlineMs: 50, adjustedTo: 0 })
    expect(play.watcher('3')).toMatchObject({ owing: 'deadline' })
    expect(play.watcher('3')).not.toHaveProperty('dueAtUsec')
    expect(play.confirm('2').entry?.outcome).toBe('degraded')
  })

  it('stays held, or to be killed, when it comes back', () => {
    for (const policy of ['hold', 'kill'] as const) {
      const play = new Play().join('1', { policy }).restored().confirm('1', 'cannot')
      const { dueAtUsec } = play.watcher('1') ?? {}
      play.leave('1', true).wait(100).join('2', { name: 'w1', policy, adjustedTo: 0 })
      expect(play.watcher('2')).toMatchObject({ owing: 'failed', failure: 'cannot', held: true })
      expect(play.watcher('2')?.dueAtUsec).toBe(dueAtUsec)
      expect(play.state.phase).toBe('adjusting')
    }
  })

  it('is not taken for another of its name, process or user', () => {
    for (const other of [
      { name: 'w9' },
      { name: 'w1', owner: { ...owner, pid: 101 } },
      { name: 'w1', owner: { ...owner, uid: 0 } },
      { name: 'w1', owner: { ...owner, startTicks: 8 } },
    ]) {
      const play = new Play()
        .join('1')
        .restored()
        .leave('1', true)
        .join('2', { adjustedTo: 0, ...other })
      expect(play.state.watchers.absent).toBe(1)
    }
    expect(new Play().join('1').restored().join('2', { name: 'w1' }).state.watchers.size).toBe(2)
  })

  it('owes the next generation as well, when that comes before it is back', () => {
    const play = new Play().join('1').restored().leave('1', true).restored()
    expect(play.watcher('1')).toMatchObject({ owing: 'pending' })
    expect(play.wait(graceMs).announced).toEqual(['ready'])
  })

  it('is gone at once where it owes nothing', () => {
    const play = new Play().join('1').leave('1', true)
    expect(play.state.watchers.size).toBe(0)
    const missed = new Play().join('1', { deadlineMs: 50 }).restored().wait(50).leave('1', true)
    expect(missed.state.watchers.size).toBe(0)
  })

  it('that does not come back makes ready of nobody else a degraded one', () => {
    // Both are gone the same moment; the one that had failed was not waited for.
    const play = new Play().join('1').join('2').restored().leave('1', true).leave('2', true)
    play.confirm('2', 'cannot').wait(graceMs)
    expect(play.announced).toEqual(['ready'])
    expect(isDegraded(play.state)).toBe(false)
    expect(play.entry?.outcome).toBe('ready')
  })
})
