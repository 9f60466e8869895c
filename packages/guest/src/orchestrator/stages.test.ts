import { describe, expect, it } from 'vitest'
import { Play, second } from '../../../../test/support/orchestrator/play.ts'

const deadlineMs = 10_000

function restoredWithAllStages(): Play {
  const play = new Play().join('1', { stage: 'application' }).join('2', { stage: 'network' })
  return play.join('3', { stage: 'identity' }).restored()
}

describe('a stage', () => {
  it('begins when nobody of those before is waited for', () => {
    const play = restoredWithAllStages()
    expect(play.told).toEqual(['identity'])
    expect(play.state.stage).toBe('identity')
    expect(play.confirm('3').told).toEqual(['network'])
    expect(play.confirm('2').told).toEqual(['application'])
    expect(play.confirm('1').announced).toEqual(['ready'])
    expect(play.state.stage).toBeUndefined()
  })

  it('waits for those before also when its own have confirmed already', () => {
    const play = restoredWithAllStages().confirm('1').confirm('2')
    expect(play.effects).toEqual([{ type: 'publish', change: 'counts' }])
    expect(play.confirm('3').types).toEqual(['tell', 'tell', 'publish', 'announce'])
  })

  it('counts the deadline from when it is told', () => {
    const play = restoredWithAllStages()
    expect(play.watcher('3')?.dueAtUsec).toBe(play.nowUsec + deadlineMs * 1000)
    expect(play.watcher('2')?.dueAtUsec).toBeUndefined()
    play.wait(9000).confirm('3')
    expect(play.types).toContain('rearm')
    expect(play.watcher('2')?.dueAtUsec).toBe(play.nowUsec + deadlineMs * 1000)
    expect(play.watcher('1')?.dueAtUsec).toBeUndefined()
  })

  it('begins also when those before have missed their deadline', () => {
    const play = restoredWithAllStages().wait(deadlineMs)
    expect(play.told).toEqual(['network'])
    expect(play.state.phase).toBe('adjusting')
  })

  it('takes who comes late, and waits for them where they are of a stage that has begun', () => {
    const play = restoredWithAllStages().confirm('3')
    play.join('4', { stage: 'identity', adjustedTo: 0 }).join('5', { stage: 'application', adjustedTo: 0 })
    expect(play.watcher('4')?.dueAtUsec).toBe(play.nowUsec + deadlineMs * 1000)
    expect(play.watcher('5')?.dueAtUsec).toBeUndefined()
    expect(play.confirm('2').told).toEqual([])
    expect(play.confirm('4').told).toEqual(['application'])
    expect(play.watcher('5')?.dueAtUsec).toBe(play.nowUsec + deadlineMs * 1000)
  })

  it('lasts no longer than the longest deadline, whoever comes late', () => {
    const limits = { maxDeadlineMs: 100, graceMs: 50 }
    const play = new Play({ limits }).join('1', { deadlineMs: 100 }).restored()
    play.wait(80).join('2', { deadlineMs: 100, adjustedTo: 0 })
    expect(play.wait(19).announced).toEqual([])
    expect(play.wait(1).announced).toEqual(['ready'])
  })

  it('waits for one that comes outdated while running as long as its own deadline', () => {
    const limits = { maxDeadlineMs: 60_000, graceMs: 50 }
    const play = new Play({ limits, generation: 2, changedAtUsec: 0 })
    play.nowUsec = 200 * second
    play.join('1', { adjustedTo: 1 })
    expect(play.watcher('1')?.dueAtUsec).toBe(210 * second)
    expect(play.wait(deadlineMs).watcher('1')?.owing).toBe('deadline')
  })
})
