import { describe, expect, it } from 'vitest'
import { evidence, owner, Play } from '../../../../test/support/orchestrator/play.ts'

const root = { ...owner, uid: 0 }

describe('the log', () => {
  it('has every step of a restore, with its time', () => {
    const play = new Play().join('1').restore()
    play.nowUsec += 10
    play.unique()
    play.nowUsec += 10
    play.confirm('1')
    expect(play.steps).toEqual([
      'restore-declared',
      'memory-wiped',
      'kernel-unique',
      'memory-wiped',
      'page-changed',
      'told-identity',
      'told-network',
      'told-application',
      'ready',
    ])
    const began = play.nowUsec - 20
    expect(play.entry?.steps.map(({ atUsec }) => atUsec - began)).toEqual([0, 0, 10, 10, 10, 10, 10, 10, 20])
    expect(play.entry).toMatchObject({
      entry: 1,
      outcome: 'ready',
      generation: 1,
      generationId: 'id-1',
      cause: 'clone',
      kernelRandom: 'kernel',
      evidence: [evidence],
      answersLeftOut: 0,
    })
  })

  it('has every step of a planned snapshot, and of the restore that ends it', () => {
    const play = new Play().quiesce().frozen().restored()
    expect(play.state.log).toHaveLength(1)
    expect(play.steps).toEqual([
      'quiesce-requested',
      'watchers-prepared',
      'memory-wiped',
      'frozen',
      'memory-wiped',
      'restore-declared',
      'memory-wiped',
      'kernel-unique',
      'memory-wiped',
      'page-changed',
      'thawed',
      'told-identity',
      'told-network',
      'told-application',
      'ready',
    ])
    expect(play.entry?.outcome).toBe('ready')
  })

  it('says how a planned snapshot ended without a restore', () => {
    const play = new Play().quiesce().frozen().resume()
    expect(play.steps.slice(-4)).toEqual(['frozen', 'memory-wiped', 'thawed', 'quiesce-ended'])
    expect(play.entry).toMatchObject({ outcome: 'resumed', detail: 'no sign of a restore', generation: 0 })
    // Nothing was frozen that could be thawed.
    const asked = new Play().join('1', { beforeSnapshot: true }).quiesce().resume()
    expect(asked.steps).toEqual(['quiesce-requested', 'quiesce-ended'])
  })

  it('gives each its entry, and a restore that comes meanwhile ends the one before', () => {
    const play = new Play().join('1').restored().restore()
    expect(play.state.log.map(({ entry, outcome }) => [entry, outcome])).toEqual([
      [1, 'superseded'],
      [2, 'open'],
    ])
    expect(play.state.log[0]).toMatchObject({ generation: 1 })
    // Two that become one generation are one entry.
    play.restore().unique()
    expect(play.state.log).toHaveLength(2)
    expect(play.confirm('1').entry).toMatchObject({ generation: 3, outcome: 'ready' })
  })

  it('has what each watcher answered, also after the end', () => {
    const play = new Play().join('1').join('2', { deadlineMs: 50, stage: 'network' }).restored().wait(50)
    play.confirm('1', 'no database')
    expect(play.entry?.outcome).toBe('degraded')
    play.nowUsec += 7
    play.confirm('2')
    expect(play.entry?.answers).toEqual([
      { name: 'w2', pid: 100, uid: 1000, stage: 'network', answer: 'late', atUsec: play.nowUsec - 7 },
      {
        name: 'w1',
        pid: 100,
        uid: 1000,
        stage: 'application',
        answer: 'failed',
        detail: 'no database',
        atUsec: play.nowUsec - 7,
      },
      { name: 'w2', pid: 100, uid: 1000, stage: 'network', answer: 'confirmed', atUsec: play.nowUsec },
    ])
    expect(play.steps.at(-1)).toBe('ready')
    expect(play.entry?.outcome).toBe('degraded')
  })

  it('takes one more sign of a restore that is in it, and of no other', () => {
    const late = { ...evidence, source: 'guid' }
    const play = new Play().restored().do({ type: 'evidence', evidence: late })
    expect(play.entry?.evidence).toEqual([evidence, late])
    const first = new Play().restored()
    first.state = { ...first.state, generation: 9 }
    expect(first.do({ type: 'evidence', evidence: late }).entry?.evidence).toEqual([evidence])
  })

  it('keeps no more entries than are of use, and their numbers', () => {
    const play = new Play()
    for (let count = 0; count < 40; count++) play.restored()
    expect(play.state.log.map(({ entry }) => entry)).toEqual(Array.from({ length: 32 }, (_, at) => at + 9))
  })

  it('keeps the last steps of a storm', () => {
    const play = new Play()
    for (let count = 0; count < 80; count++) play.restore()
    expect(play.unique().entry?.steps).toHaveLength(100)
    expect(play.steps.at(-1)).toBe('ready')
  })

  it('forgets first who did as he should, the earliest before the others', () => {
    const play = new Play()
    for (let id = 1; id <= 260; id++) play.join(String(id), { owner: root })
    play.restored()
    play.confirm('1', 'no').confirm('2').confirm('3')
    for (let id = 4; id <= 201; id++) play.confirm(String(id), 'no')
    expect(play.entry).toMatchObject({ answersLeftOut: 1 })
    expect(play.answers).toHaveLength(200)
    expect(play.answers.slice(0, 3)).toEqual(['w1 failed', 'w3 confirmed', 'w4 failed'])
    expect(play.answers.at(-1)).toBe('w201 failed')
    play.confirm('202', 'no').confirm('203', 'no')
    // Nobody is left who did, so it is the last who is not kept.
    expect(play.entry).toMatchObject({ answersLeftOut: 3 })
    expect(play.answers).toHaveLength(200)
    expect(play.answers.at(-1)).toBe('w202 failed')
  })

  it('has what a watcher says once, however often it is said', () => {
    const play = new Play().join('1', { beforeSnapshot: true }).join('2', { beforeSnapshot: true })
    play.quiesce({ force: true }).prepared('2').prepared('2').prepared('2', 'no').prepared('2', 'still no')
    expect(play.answers).toEqual(['w2 prepared', 'w2 vetoed'])
    expect(play.entry?.answers.at(-1)).toMatchObject({ detail: 'still no' })

    play.restored().confirm('1').confirm('1').confirm('2', 'no')
    play.nowUsec += 7
    play.confirm('2', 'still no')
    expect(play.answers).toEqual(['w2 prepared', 'w2 vetoed', 'w1 confirmed', 'w2 failed'])
    expect(play.entry?.answers.at(-1)).toMatchObject({ detail: 'still no', atUsec: play.nowUsec })
    for (let count = 0; count < 10; count++) play.confirm('2').confirm('2', 'no')
    expect(play.answers).toEqual(['w2 prepared', 'w2 vetoed', 'w1 confirmed', 'w2 confirmed', 'w2 failed'])
    expect(play.entry?.answersLeftOut).toBe(0)
  })

  it('has what each of two watchers of one name says', () => {
    const play = new Play().join('1', { name: 'twin' }).join('2', { name: 'twin' }).restored()
    expect(play.confirm('1').confirm('2').answers).toEqual(['twin confirmed', 'twin confirmed'])
  })

  it('gives no user but root the room of the others', () => {
    const play = new Play()
    for (let id = 1; id <= 100; id++) play.join(String(id))
    for (let id = 101; id <= 200; id++) play.join(String(id), { owner: root })
    play.restored().confirm('1')
    for (let id = 2; id <= 100; id++) play.confirm(String(id), 'no')
    // His own that did as it should makes room for one more, and then there is none.
    expect(play.answers).toHaveLength(50)
    expect(play.answers.slice(0, 2)).toEqual(['w2 failed', 'w3 failed'])
    expect(play.answers.at(-1)).toBe('w51 failed')
    expect(play.entry).toMatchObject({ answersLeftOut: 50 })
    for (let id = 101; id <= 200; id++) play.confirm(String(id))
    expect(play.answers).toHaveLength(150)
    expect(play.entry).toMatchObject({ answersLeftOut: 50 })
  })
})
