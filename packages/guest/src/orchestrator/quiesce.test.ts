import { describe, expect, it } from 'vitest'
import { callerPid, owner, Play } from '../../../../test/support/orchestrator/play.ts'
import { checkPrepared } from './machine.ts'
import { canQuiesce } from './quiesce.ts'
import { nextWakeUsec } from './state.ts'

const beforeSnapshot = true

/** Three watchers, registered in this order. */
function asked(change: Parameters<Play['quiesce']>[0] = {}): Play {
  const play = new Play()
  for (const id of ['1', '2', '3']) {
    play.nowUsec += 1
    play.join(id, { beforeSnapshot })
  }
  return play.quiesce(change)
}

function quiesced(thawAfterMs = 60_000): Play {
  return new Play().quiesce({ thawAfterMs }).frozen()
}

describe('a planned snapshot', () => {
  it('wipes memory and freezes at once where nobody is to be asked, and then is quiesced', () => {
    const play = new Play().join('1').quiesce({ reason: 'nightly' })
    expect(play.effects).toEqual([
      { type: 'publish', change: 'phase' },
      { type: 'announce', event: 'quiesce' },
      { type: 'wipe-memory' },
      { type: 'freeze', quiesce: 1, callerPid },
      { type: 'rearm' },
      { type: 'rearm' },
    ])
    expect(play.state).toMatchObject({
      phase: 'quiescing',
      snapshot: { step: 'freezing', reason: 'nightly' },
    })
    play.frozen()
    expect(play.effects).toEqual([
      { type: 'publish', change: 'phase' },
      // What was written until everything stood still.
      { type: 'wipe-memory' },
      { type: 'announce', event: 'quiesce' },
      { type: 'rearm' },
    ])
    expect(play.state).toMatchObject({ phase: 'quiesced', snapshot: { step: 'frozen', frozen: ['/app'] } })
  })

  it('asks one watcher after another, the one that was registered last first', () => {
    const play = asked()
    expect(play.asked).toEqual(['3'])
    expect(play.prepared('3').effects).toEqual([{ type: 'ask', id: '2' }])
    expect(play.prepared('2').effects).toEqual([{ type: 'ask', id: '1' }])
    expect(play.prepared('1').types).toEqual(['wipe-memory', 'freeze', 'rearm'])
    expect(play.answers).toEqual(['w3 prepared', 'w2 prepared', 'w1 prepared'])
  })

  it('asks in the order of their numbers those that were registered the same moment, and those that came back', () => {
    const play = new Play().join('9', { beforeSnapshot }).join('10', { beforeSnapshot })
    play.nowUsec += 1
    play.join('11', { beforeSnapshot, registeredAtUsec: 5 }).quiesce()
    expect(play.asked).toEqual(['10'])
    expect(play.prepared('10').asked).toEqual(['9'])
    expect(play.prepared('9').asked).toEqual(['11'])
  })

  it('asks everybody again for the next snapshot', () => {
    const play = new Play().join('1', { beforeSnapshot }).quiesce().prepared('1').frozen().resume()
    expect(play.quiesce().asked).toEqual(['1'])
  })

  it('asks one that comes meanwhile', () => {
    const play = asked().prepared('3').join('4', { beforeSnapshot })
    expect(play.asked).toEqual([])
    expect(play.prepared('2').asked).toEqual(['4'])
    expect(play.prepared('4').asked).toEqual(['1'])
  })

  it('goes on where the one that is asked goes, and not where another does', () => {
    const play = asked()
    expect(play.leave('1').asked).toEqual([])
    expect(play.leave('3').asked).toEqual(['2'])
    expect(play.leave('2').types).toContain('freeze')
  })

  it('does not wait for the answer of one whose connection is lost', () => {
    const play = new Play({ generation: 1 }).join('1', { beforeSnapshot })
    play.nowUsec += 1
    play.join('2', { beforeSnapshot, adjustedTo: 0 }).quiesce()
    expect(play.asked).toEqual(['2'])
    expect(play.leave('2', true).asked).toEqual(['1'])
    expect(play.prepared('1').types).toContain('freeze')
  })

  it('is only planned while the guest is running', () => {
    expect(canQuiesce(new Play().state)).toBe(true)
    for (const play of [new Play().join('1').restored(), new Play().restore(), new Play().quiesce()]) {
      expect(canQuiesce(play.state)).toBe(false)
      const { state } = play
      expect(play.quiesce()).toMatchObject({ state, effects: [] })
    }
  })
})

describe('a veto', () => {
  it('undoes the planned snapshot, and says whose it was', () => {
    const play = asked().prepared('3').prepared('2', 'a backup is running')
    expect(play.effects).toEqual([
      { type: 'publish', change: 'phase' },
      { type: 'thaw' },
      { type: 'announce', event: 'resumed' },
      {
        type: 'quiesce-ended',
        quiesce: 1,
        outcome: { how: 'vetoed', name: 'w2', pid: 100, detail: 'a backup is running' },
      },
      { type: 'rearm' },
    ])
    expect(play.state).toMatchObject({ phase: 'running', snapshot: undefined })
    expect(play.entry).toMatchObject({ outcome: 'vetoed', detail: 'w2: a backup is running' })
    expect(play.answers).toEqual(['w3 prepared', 'w2 vetoed'])
  })

  it('does not stand in the way of a forced one', () => {
    const play = asked({ force: true }).prepared('3', 'a backup is running')
    expect(play.asked).toEqual(['2'])
    expect(play.answers).toEqual(['w3 vetoed'])
  })

  it('is heard also of one that had prepared', () => {
    expect(asked().prepared('3').prepared('3', 'something has come up').ended?.how).toBe('vetoed')
  })

  it('of one that had prepared asks nobody twice where it is forced', () => {
    const play = asked({ force: true }).prepared('3').prepared('3', 'something has come up')
    expect(play.effects).toEqual([])
    expect(play.state.snapshot?.asking).toBe('2')
  })

  it('is not taken of one that was not asked, or not about this snapshot', () => {
    const play = asked().join('4')
    expect(checkPrepared(play.state, '3', owner, 1)).toBe('ok')
    expect(checkPrepared(play.state, '3', owner, 2)).toBe('stale')
    expect(checkPrepared(play.state, '1', owner, 1)).toBe('stale')
    expect(checkPrepared(play.state, '4', owner, 1)).toBe('stale')
    expect(checkPrepared(play.state, '9', owner, 1)).toBe('no-such-watcher')
    expect(checkPrepared(play.state, '3', { ...owner, pid: 1 }, 1)).toBe('not-owner')
    expect(play.prepared('1', 'no').effects).toEqual([])
    expect(play.prepared('9', 'no').effects).toEqual([])
    const frozen = new Play().join('1', { beforeSnapshot }).quiesce().prepared('1')
    expect(checkPrepared(frozen.state, '1', owner, 1)).toBe('stale')
    expect(frozen.prepared('1', 'no').effects).toEqual([])
  })
})

describe('the deadline of a planned snapshot', () => {
  it('undoes it, and names who has not prepared', () => {
    const play = asked().prepared('3')
    expect(nextWakeUsec(play.state)).toBe(play.nowUsec + 5_000_000)
    expect(play.wait(4999).ended).toBeUndefined()
    expect(play.wait(1).ended).toEqual({ how: 'failed', detail: 'w2 (pid 100) did not prepare in time' })
    expect(play.types).toContain('thaw')
    expect(play.state.phase).toBe('running')
    expect(play.entry?.outcome).toBe('failed')
  })

  it('freezes where it is forced', () => {
    const play = asked({ force: true }).prepared('3').wait(5000)
    expect(play.types).toEqual(['wipe-memory', 'freeze', 'rearm', 'rearm'])
    expect(play.state.snapshot).toMatchObject({ step: 'freezing', asking: undefined })
  })

  it('freezes nothing while a restore is pending, forced or not', () => {
    const play = asked({ force: true }).restore().wait(5000)
    expect(play.types).toEqual(['rearm'])
    expect(play.unique().ended).toEqual({ how: 'restored' })
  })

  it('is there for the freeze as well', () => {
    const play = new Play().quiesce()
    expect(nextWakeUsec(play.state)).toBe(play.nowUsec + 30_000_000)
    expect(play.wait(29_999).ended).toBeUndefined()
    expect(play.wait(1).ended).toEqual({ how: 'failed', detail: 'the workload was not frozen in time' })
    expect(play.types).toContain('thaw')
    expect(play.frozen().effects).toEqual([{ type: 'thaw' }])
  })
})

describe('resume without a restore', () => {
  it('shows the page and thaws, without another generation', () => {
    const play = quiesced().resume()
    expect(play.effects).toEqual([
      { type: 'publish', change: 'phase' },
      { type: 'thaw' },
      { type: 'announce', event: 'resumed' },
      {
        type: 'quiesce-ended',
        quiesce: 1,
        outcome: { how: 'resumed', detail: 'no sign of a restore' },
      },
      { type: 'rearm' },
    ])
    expect(play.state).toMatchObject({ generation: 0, phase: 'running', snapshot: undefined })
    expect(nextWakeUsec(play.state)).toBeUndefined()
  })

  it('gives up what has not come so far', () => {
    expect(asked().resume().ended?.how).toBe('resumed')
    const freezing = new Play().quiesce().resume()
    expect(freezing.types).toContain('thaw')
    // It was frozen after all.
    expect(freezing.frozen().effects).toEqual([{ type: 'thaw' }])
    expect(freezing.state.phase).toBe('running')
  })

  it('does nothing where nothing is planned', () => {
    expect(new Play().resume().effects).toEqual([])
  })

  it('leaves everything frozen where a restore is under way', () => {
    const play = quiesced().restore().resume()
    expect(play.effects).toEqual([])
    expect(play.state.phase).toBe('quiesced')
  })
})

describe('the workload that could not be frozen', () => {
  it('is thawed, with the reason', () => {
    const play = new Play()
      .quiesce()
      .do({ type: 'not-frozen', quiesce: 1, detail: 'a process does not stop' })
    expect(play.ended).toEqual({ how: 'failed', detail: 'a process does not stop' })
    expect(play.types).toContain('thaw')
  })

  it('is thawed also where the snapshot is over', () => {
    const play = new Play().quiesce().resume().do({ type: 'not-frozen', quiesce: 1, detail: 'no' })
    expect(play.effects).toEqual([{ type: 'thaw' }])
  })

  it('stays as it is for the snapshot that came after, and for a restore', () => {
    const play = new Play().quiesce().resume().quiesce()
    expect(play.frozen(1).effects).toEqual([])
    expect(play.frozen(2).frozen(1).effects).toEqual([])
    expect(play.do({ type: 'not-frozen', quiesce: 1, detail: 'no' }).effects).toEqual([])
    expect(play.state.phase).toBe('quiesced')
    expect(new Play().quiesce().resume().restore().frozen().effects).toEqual([])
    // Those that prepare must run.
    const preparing = new Play().quiesce().resume().join('1', { beforeSnapshot }).quiesce()
    expect(preparing.frozen(1).effects).toEqual([{ type: 'thaw' }])
  })
})

describe('a restore', () => {
  it.each([
    ['while watchers are asked', () => asked()],
    ['while the workload is being frozen', () => new Play().quiesce()],
    ['while it is frozen', () => quiesced()],
  ])('%s ends the snapshot, and thaws after the page', (_, begin) => {
    const play = begin().restore()
    expect(play.types).toEqual(['wipe-memory', 'make-kernel-unique'])
    expect(play.state.snapshot).toBeDefined()
    play.unique()
    const types = play.types.slice(0, 5)
    expect(types).toEqual(['wipe-memory', 'publish', 'thaw', 'quiesce-ended', 'announce'])
    expect(play.ended).toEqual({ how: 'restored' })
    expect(play.state).toMatchObject({ generation: 1, snapshot: undefined })
  })

  it('carries nothing further that was planned', () => {
    expect(asked().restore().prepared('3').effects).toEqual([])
    expect(asked().restore().prepared('3', 'no').effects).toEqual([])
    expect(asked().restore().leave('3').asked).toEqual([])
    const freezing = new Play().quiesce().restore().frozen()
    expect(freezing.effects).toEqual([])
    expect(freezing.state.phase).toBe('quiescing')
    expect(freezing.unique().types).toContain('thaw')
    const refused = new Play().quiesce().restore().do({ type: 'not-frozen', quiesce: 1, detail: 'no' })
    expect(refused.effects).toEqual([])
  })
})

describe('a watcher that owes something while the workload is frozen', () => {
  it('misses no deadline, and has the time to catch up after the thaw', () => {
    const play = new Play({ generation: 1 }).join('1', { adjustedTo: 0, deadlineMs: 100, policy: 'kill' })
    play.quiesce().frozen()
    expect(play.wait(1000).types).toEqual(['rearm'])
    play.resume()
    expect(play.wait(2000).types).toEqual(['rearm'])
    expect(play.confirm('1').watcher('1')).toMatchObject({ owing: 'no' })
  })
})

describe('the time for which the workload may be frozen', () => {
  it('ends in another generation, before anything is thawed: this may be a copy', () => {
    const play = quiesced(2000)
    expect(nextWakeUsec(play.state)).toBe(play.nowUsec + 2_000_000)
    expect(play.wait(1999).types).toEqual(['rearm'])
    expect(play.wait(1).effects).toEqual([
      { type: 'wipe-memory' },
      { type: 'make-kernel-unique', attempt: 1, kernelReseeded: false },
      { type: 'rearm' },
    ])
    expect(play.state).toMatchObject({ phase: 'quiesced', pending: { cause: 'ambiguous' } })
    expect(nextWakeUsec(play.state)).toBeUndefined()
    // Once is enough.
    expect(play.wait(5000).types).toEqual(['rearm'])
    expect(play.unique().types.slice(0, 3)).toEqual(['wipe-memory', 'publish', 'thaw'])
    expect(play.state).toMatchObject({ generation: 1, cause: 'ambiguous' })
  })

  it('begins when it is frozen', () => {
    const play = new Play().quiesce({ thawAfterMs: 2000 })
    play.nowUsec += 1_000_000
    expect(play.frozen().state.snapshot?.thawAtUsec).toBe(play.nowUsec + 2_000_000)
    play.nowUsec += 1_000_000
    // Said twice, it is no longer.
    const { state } = play
    expect(play.frozen()).toMatchObject({ state, effects: [] })
  })
})

describe('release', () => {
  it('undoes what is not frozen yet', () => {
    for (const play of [asked(), new Play().quiesce()]) {
      play.release()
      expect(play.ended).toEqual({ how: 'failed', detail: 'the daemon ends' })
      expect(play.types).toContain('thaw')
    }
  })

  it('takes a frozen workload for a copy', () => {
    const play = quiesced().release()
    expect(play.types).toEqual(['wipe-memory', 'make-kernel-unique'])
    expect(play.state.pending).toMatchObject({ cause: 'ambiguous', restores: 1 })
    expect(play.release().effects).toEqual([])
    expect(play.unique().types.slice(0, 3)).toEqual(['wipe-memory', 'publish', 'thaw'])
  })

  it('thaws where nothing is known to be frozen, and nothing before the page of a restore', () => {
    expect(new Play().release().effects).toEqual([{ type: 'thaw' }])
    expect(new Play().join('1').restored().release().effects).toEqual([{ type: 'thaw' }])
    expect(new Play().restore().release().effects).toEqual([])
    expect(asked().restore().release().effects).toEqual([])
  })
})
