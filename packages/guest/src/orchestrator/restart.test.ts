import { describe, expect, it } from 'vitest'
import { owner, Play } from '../../../../test/support/orchestrator/play.ts'
import { isDegraded, nextWakeUsec } from './state.ts'

const graceUsec = 2_500_000

describe('a daemon that goes on from what another left', () => {
  it('writes the page first, thaws what may be frozen, and sets its timer', () => {
    expect(new Play().restarted().effects).toEqual([
      { type: 'publish', change: 'generation' },
      { type: 'thaw' },
      { type: 'rearm' },
    ])
  })

  it('waits for those who owe, as long as they may take to come back', () => {
    const play = new Play().join('1').restored().restarted()
    expect(play.announced).toEqual([])
    expect(nextWakeUsec(play.state)).toBe(play.nowUsec + graceUsec)
    expect(play.wait(2499).announced).toEqual([])
    expect(play.wait(1).announced).toEqual(['ready'])
  })

  it('keeps the debt of those who come back, and its time', () => {
    const play = new Play().join('1').restored()
    const { dueAtUsec, sinceUsec } = play.watcher('1') ?? {}
    play.restarted().join('2', { name: 'w1', adjustedTo: 0 })
    expect(play.watcher('2')).toMatchObject({ owing: 'pending', dueAtUsec, sinceUsec })
    expect(play.confirm('2').announced).toEqual(['ready'])
  })

  it('gives those whose deadline passed while there was no daemon the time to come back', () => {
    const play = new Play().join('1', { deadlineMs: 50 }).restored()
    play.nowUsec += graceUsec
    play.restarted().wait(100).join('2', { name: 'w1', adjustedTo: 0, deadlineMs: 50 }).wait(1000)
    expect(play.watcher('2')).toMatchObject({ owing: 'pending' })
    expect(play.confirm('2').announced).toEqual(['ready'])
  })

  it('still names those who had missed it', () => {
    const play = new Play().join('1', { deadlineMs: 50 }).restored().wait(50).restarted()
    expect(isDegraded(play.state)).toBe(true)
    play.join('2', { name: 'w1', adjustedTo: 0 })
    expect(play.watcher('2')).toMatchObject({ owing: 'deadline' })
    expect(isDegraded(play.state)).toBe(true)
    expect(nextWakeUsec(play.state)).toBeUndefined()
  })

  it('knows those who owe nothing, too, and that a restore is theirs as well', () => {
    const play = new Play().join('1').restarted()
    expect(play.state.watchers.tracked).toBe(1)
    play.restored()
    expect(play.announced).toEqual(['generation'])
    play.join('2', { name: 'w1', adjustedTo: 0 })
    expect(play.watcher('2')).toMatchObject({ owing: 'pending' })
  })

  it('waits for nobody who is dead, and says so', () => {
    const play = new Play().join('1').join('2').restored().confirm('2').restarted('1', '2')
    expect(play.state.watchers.size).toBe(0)
    expect(play.announced).toEqual(['ready'])
    expect(play.types).toEqual(['publish', 'thaw', 'announce', 'rearm'])
    expect(play.answers).toEqual(['w2 confirmed', 'w1 left'])
  })

  it('forgets those who are not tracked: they come back, or not', () => {
    expect(new Play().join('1', { tracked: false }).restarted().state.watchers.size).toBe(0)
  })

  it('begins the next stage where the last of one is dead', () => {
    const play = new Play().join('1', { stage: 'identity' }).join('2', { owner: { ...owner, pid: 2 } })
    expect(play.restored().restarted('1').told).toEqual(['network', 'application'])
  })

  it('makes the kernel unique again for a restore that waits for it, and wipes memory again', () => {
    const play = new Play().restore({ minimum: 9 }).restarted()
    expect(play.effects).toEqual([
      { type: 'publish', change: 'generation' },
      { type: 'wipe-memory' },
      // Whether the kernel had done so by itself is not known any more.
      { type: 'make-kernel-unique', attempt: 2, kernelReseeded: false },
      { type: 'rearm' },
    ])
    expect(play.unique(1).state.generation).toBe(0)
    expect(play.unique().state).toMatchObject({ generation: 9, cause: 'clone' })
  })

  it('says ready of nobody while such a restore is pending', () => {
    const play = new Play().join('1').restored().restore().restarted('1')
    expect(play.announced).toEqual([])
    expect(play.wait(10_000).announced).toEqual([])
    expect(play.unique().announced).toEqual(['generation', 'ready'])
  })

  it.each([
    ['is being frozen', new Play().quiesce(), 'failed'],
    ['waits for watchers', new Play().join('1', { beforeSnapshot: true }).quiesce(), 'failed'],
  ])('gives up a snapshot whose workload %s', (_, play, how) => {
    expect(play.restarted().types).toEqual(['publish', 'rearm'])
    expect(play.release().ended?.how).toBe(how)
    expect(play.types).toContain('thaw')
  })

  it('leaves a frozen workload frozen until it has looked for restores', () => {
    const play = new Play().quiesce().frozen().restarted()
    expect(play.types).toEqual(['publish', 'rearm'])
    expect(play.state.phase).toBe('quiesced')
    // It finds one: that is finished first.
    expect(play.restore().release().effects).toEqual([])
    expect(play.unique().types.slice(0, 3)).toEqual(['wipe-memory', 'publish', 'thaw'])
    expect(play.state.generation).toBe(1)
  })

  it('may be killed again before anybody is back', () => {
    const play = new Play().join('1').restored().restarted()
    play.nowUsec += 2_000_000
    play.restarted().join('2', { name: 'w1', adjustedTo: 0 })
    expect(play.watcher('2')).toMatchObject({ owing: 'pending' })
    expect(play.state.watchers.size).toBe(1)
  })
})

describe('a daemon that knows no more than what the page says', () => {
  const adjusting = {
    generation: 4,
    phase: 'adjusting',
    stage: 'application',
    holdUntilUsec: 3_000_000,
  } as const

  it('waits for those that may come back', () => {
    const play = new Play(adjusting)
    expect(play.wait(500).announced).toEqual([])
    expect(play.join('1', { adjustedTo: 3 }).wait(2000).announced).toEqual([])
    expect(play.confirm('1').announced).toEqual(['ready'])
  })

  it('looks again at the end of that time, when the last that came back has confirmed before', () => {
    const play = new Play(adjusting).join('1', { adjustedTo: 3 }).confirm('1')
    expect(play.announced).toEqual([])
    expect(play.effects).toContainEqual({ type: 'rearm' })
    expect(nextWakeUsec(play.state)).toBe(3_000_000)
  })

  it('waits for them also where another restore is found meanwhile', () => {
    const play = new Play({ generation: 4, holdUntilUsec: 3_000_000 }).restored()
    expect(play.state).toMatchObject({ generation: 5, phase: 'adjusting', readyAtUsec: undefined })
    play.join('1', { adjustedTo: 4 })
    expect(play.wait(2000).announced).toEqual([])
    expect(play.confirm('1').announced).toEqual(['ready'])
  })

  it('is ready without them when their time has passed', () => {
    const play = new Play(adjusting)
    expect(nextWakeUsec(play.state)).toBe(3_000_000)
    expect(play.wait(1999).announced).toEqual([])
    expect(play.wait(1).announced).toEqual(['ready'])
  })

  it('does not look at the clock again and again while a restore is pending', () => {
    const play = new Play(adjusting).restore().wait(5000)
    expect(nextWakeUsec(play.state)).toBeUndefined()
  })
})
