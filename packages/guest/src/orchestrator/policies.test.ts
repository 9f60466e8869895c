import { describe, expect, it } from 'vitest'
import { Play } from '../../../../test/support/orchestrator/play.ts'
import { isDegraded, nextWakeUsec } from './state.ts'

const late = { deadlineMs: 50 }

describe('hold', () => {
  it('says ready only when the late watcher has confirmed', () => {
    const play = new Play()
      .join('1', { ...late, policy: 'hold' })
      .restored()
      .wait(50)
    expect(play.announced).toEqual([])
    expect(play.watcher('1')).toMatchObject({ owing: 'deadline', held: true })
    expect(nextWakeUsec(play.state)).toBeUndefined()
    expect(play.wait(3_600_000).state.phase).toBe('adjusting')
    expect(play.confirm('1').announced).toEqual(['ready'])
    expect(isDegraded(play.state)).toBe(false)
    expect(play.answers).toEqual(['w1 held', 'w1 confirmed'])
  })

  it('holds also for one that failed', () => {
    const play = new Play().join('1', { policy: 'hold' }).restored().confirm('1', 'no database')
    expect(play.state.phase).toBe('adjusting')
    expect(play.confirm('1').announced).toEqual(['ready'])
  })

  it('ends when the watcher dies', () => {
    const play = new Play()
      .join('1', { ...late, policy: 'hold' })
      .restored()
      .wait(50)
      .leave('1')
    expect(play.announced).toEqual(['ready'])
    expect(isDegraded(play.state)).toBe(false)
  })

  it('ends with the next generation', () => {
    const play = new Play()
      .join('1', { ...late, policy: 'hold' })
      .restored()
      .wait(50)
      .restored()
    expect(play.watcher('1')).toMatchObject({ owing: 'pending', dueAtUsec: play.nowUsec + 50_000 })
    expect(play.watcher('1')).not.toHaveProperty('held')
  })
})

describe.each([
  ['restart', 'restarted'],
  ['kill', 'killed'],
] as const)('%s', (policy, answer) => {
  it('is done once, and ready waits for what comes of it', () => {
    const play = new Play()
      .join('1', { ...late, policy })
      .restored()
      .wait(50)
    expect(play.effects).toContainEqual({ type: 'enforce', id: '1', policy })
    expect(play.state.phase).toBe('adjusting')
    expect(nextWakeUsec(play.state)).toBe(play.nowUsec + 10_000_000)
    expect(play.wait(20).all('enforce')).toEqual([])
    expect(play.leave('1').announced).toEqual(['ready'])
    expect(isDegraded(play.state)).toBe(false)
    expect(play.answers).toEqual([`w1 ${answer}`, 'w1 left'])
  })

  it('is done about one that failed as well', () => {
    const play = new Play().join('1', { policy }).restored().confirm('1', 'no database')
    expect(play.effects).toContainEqual({ type: 'enforce', id: '1', policy })
    expect(play.answers).toEqual(['w1 failed', `w1 ${answer}`])
  })

  it('is not done again for failing again, nor is ready put off', () => {
    const play = new Play().join('1', { policy }).restored().confirm('1', 'no database')
    const due = play.watcher('1')?.dueAtUsec
    play.wait(5000).confirm('1', 'still none')
    expect(play.all('enforce')).toEqual([])
    expect(play.watcher('1')).toMatchObject({ dueAtUsec: due, held: true, failure: 'still none' })
    expect(play.wait(5000).announced).toEqual(['ready'])
    expect(play.confirm('1', 'still none').all('enforce')).toEqual([])
    expect(play.watcher('1')).not.toHaveProperty('held')
  })

  it('that does not help is reported: ready, degraded', () => {
    const play = new Play()
      .join('1', { ...late, policy })
      .restored()
      .wait(50)
    expect(play.wait(9999).announced).toEqual([])
    expect(play.wait(1).announced).toEqual(['ready'])
    expect(isDegraded(play.state)).toBe(true)
    expect(play.watcher('1')).toMatchObject({ owing: 'deadline' })
  })

  it('that cannot be done is reported at once', () => {
    const play = new Play()
      .join('1', { ...late, policy })
      .restored()
      .wait(50)
    play.do({ type: 'not-enforced', id: '1', detail: 'it has no unit' })
    expect(play.announced).toEqual(['ready'])
    expect(isDegraded(play.state)).toBe(true)
    expect(play.entry?.answers.at(-1)).toMatchObject({ answer: 'late', detail: 'it has no unit' })
    // Too late to matter.
    expect(play.do({ type: 'not-enforced', id: '1', detail: 'it has no unit' }).effects).toEqual([])
    expect(play.do({ type: 'not-enforced', id: '9', detail: 'it has no unit' }).effects).toEqual([])
  })
})
