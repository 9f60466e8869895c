import { describe, expect, it } from 'vitest'
import { evidence, Play } from '../../../../test/support/orchestrator/play.ts'

describe('a restore', () => {
  it('wipes memory first, and is published only when the kernel is unique', () => {
    const play = new Play().restore()
    expect(play.effects).toEqual([
      { type: 'wipe-memory' },
      { type: 'make-kernel-unique', attempt: 1, kernelReseeded: true },
    ])
    expect(play.state.generation).toBe(0)
    play.unique()
    expect(play.state).toMatchObject({ generation: 1, generationId: 'id-1', kernelRandom: 'kernel' })
  })

  it('wipes once more, shows the page, then thaws, then says so, then tells watchers', () => {
    const play = new Play().join('1', { stage: 'identity' }).restored()
    expect(play.effects).toEqual([
      { type: 'wipe-memory' },
      { type: 'publish', change: 'generation' },
      { type: 'thaw' },
      { type: 'announce', event: 'generation' },
      { type: 'tell', stage: 'identity' },
      { type: 'rearm' },
      { type: 'rearm' },
    ])
  })

  it('is ready at once where nobody is tracked, with one write of the page', () => {
    const play = new Play().join('1', { tracked: false }).restored()
    expect(play.announced).toEqual(['generation', 'ready'])
    expect(play.told).toEqual(['identity', 'network', 'application'])
    expect(play.all('publish')).toHaveLength(1)
    expect(play.state.phase).toBe('running')
  })

  it('that comes while the kernel is being made unique asks for it again, and both count', () => {
    const play = new Play().restore().restore({ kernelReseeded: false })
    expect(play.effects).toEqual([
      { type: 'wipe-memory' },
      { type: 'make-kernel-unique', attempt: 2, kernelReseeded: false },
    ])
    expect(play.unique(1).effects).toEqual([])
    expect(play.state.generation).toBe(0)
    expect(play.unique().state).toMatchObject({ generation: 2, evidence: [evidence, evidence] })
  })

  it('is made a generation once, whatever is answered after that', () => {
    const play = new Play().restored()
    expect(play.unique(1).effects).toEqual([])
    expect(play.state.generation).toBe(1)
  })

  it('has at least the generation that was asked for, also when another comes meanwhile', () => {
    expect(new Play().restore({ minimum: 40 }).unique().state.generation).toBe(40)
    expect(new Play().restore({ minimum: 40 }).restore().unique().state.generation).toBe(40)
    expect(new Play({ generation: 7 }).restore({ minimum: 3 }).unique().state.generation).toBe(8)
  })

  it('has its time, and no time of ready while it is adjusting', () => {
    const play = new Play().join('1')
    play.nowUsec += 500
    play.restored()
    expect(play.state).toMatchObject({ changedAtUsec: play.nowUsec, readyAtUsec: undefined })
    expect(play.confirm('1').state.readyAtUsec).toBe(play.nowUsec)
  })

  it('while adjusting starts over, and nobody is ready in the generation before', () => {
    const play = new Play().join('1').restored().restore()
    // A confirmation that was on its way.
    expect(play.do({ type: 'confirmed', id: '1', generation: 1 }).announced).toEqual([])
    play.unique()
    expect(play.state).toMatchObject({ generation: 2, phase: 'adjusting' })
    expect(play.watcher('1')).toMatchObject({ owing: 'pending' })
    expect(play.do({ type: 'confirmed', id: '1', generation: 1 }).state.phase).toBe('adjusting')
    expect(play.confirm('1').announced).toEqual(['ready'])
  })

  it('while adjusting tells all stages again, from the first one', () => {
    const play = new Play().join('1', { stage: 'network' }).join('2').restored().confirm('1')
    expect(play.told).toEqual(['application'])
    expect(play.restored().told).toEqual(['identity', 'network'])
    expect(play.watcher('2')?.dueAtUsec).toBeUndefined()
  })

  it('lets no deadline of the generation before pass while it waits for its own', () => {
    const play = new Play().join('1', { deadlineMs: 50, policy: 'kill' }).restored().restore()
    expect(play.wait(60).types).toEqual(['rearm'])
    expect(play.watcher('1')).toMatchObject({ owing: 'pending' })
    // Its time begins when it is told of the new one.
    play.unique()
    expect(play.watcher('1')?.dueAtUsec).toBe(play.nowUsec + 50_000)
  })

  it('keeps what sources said of it, early and late, and how the host named it', () => {
    const play = new Play().restore({ restoreId: 'a' })
    play.do({ type: 'evidence', evidence: { ...evidence, source: 'guid' } }).unique()
    play.do({ type: 'evidence', evidence: { ...evidence, source: 'acpi' }, restoreId: 'b' })
    expect(play.effects).toEqual([])
    expect(play.state.evidence.map(({ source }) => source)).toEqual(['kmsg', 'guid', 'acpi'])
    expect(play.state.restoreId).toBe('b')
    expect(play.restore().state.restoreId).toBe('b')
  })

  it('remembers no more signs than are of use', () => {
    const play = new Play()
    for (let count = 0; count < 100; count++) play.restore()
    expect(play.unique().state).toMatchObject({ generation: 100 })
    expect(play.state.evidence).toHaveLength(16)
    for (let count = 0; count < 20; count++) play.do({ type: 'evidence', evidence })
    expect(play.state.evidence).toHaveLength(16)
  })
})
