import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { OrchestratorEffect, OrchestratorEvent } from './events.ts'
import { checkConfirmation, step } from './machine.ts'
import { beginWith, isDegraded, nextWakeUsec, type OrchestratorState } from './state.ts'

const ms = 1000
const owner = { pid: 100, uid: 1000 }
const evidence = { source: 'kmsg', detail: 'seen' }

function initial(change: Partial<OrchestratorState> = {}): OrchestratorState {
  return beginWith({
    generation: 0,
    generationId: 'first',
    phase: 'running',
    cause: 'boot',
    reason: undefined,
    evidence: [],
    kernelRandom: 'boot',
    changedAtUsec: 0,
    readyAtUsec: 0,
    holdUntilUsec: 0,
    limits: { maxDeadlineMs: 60_000 },
    ...change,
  })
}

/** Plays events against the machine, and remembers what it wanted done. */
class Play {
  state: OrchestratorState
  effects: OrchestratorEffect[] = []
  nowUsec = 1_000_000

  constructor(state = initial()) {
    this.state = state
  }

  do(event: Omit<OrchestratorEvent, 'nowUsec'>): this {
    const [state, effects] = step(this.state, { ...event, nowUsec: this.nowUsec } as OrchestratorEvent)
    this.state = state
    this.effects = [...effects]
    return this
  }

  join(id: string, options: { deadlineMs?: number; tracked?: boolean; adjustedTo?: number } = {}): this {
    const { deadlineMs = 10_000, tracked = true, adjustedTo = this.state.generation } = options
    const event = {
      type: 'watcher-joined',
      id,
      name: `w${id}`,
      owner,
      tracked,
      deadlineMs,
      adjustedTo,
    } as const
    return this.do(event as never)
  }

  restore(change: { minimum?: number } = {}): this {
    return this.do({ type: 'restore', cause: 'clone', evidence, kernelReseeded: true, ...change } as never)
  }

  unique(attempt = this.state.pending?.attempt ?? -1): this {
    const generationId = `id-${attempt}`
    return this.do({ type: 'kernel-unique', attempt, kernelRandom: 'kernel', generationId } as never)
  }

  confirm(id: string, change: { generation?: number; failure?: string } = {}): this {
    return this.do({ type: 'confirmed', id, generation: this.state.generation, ...change } as never)
  }

  wait(forMs: number): this {
    this.nowUsec += forMs * ms
    return this.do({ type: 'time' } as never)
  }

  get announced(): string[] {
    return this.effects.flatMap((effect) => (effect.type === 'announce' ? [effect.event] : []))
  }
}

describe('a restore', () => {
  it('is published only when the kernel is unique', () => {
    const play = new Play().restore()
    expect(play.effects).toEqual([{ type: 'make-kernel-unique', attempt: 1, kernelReseeded: true }])
    expect(play.state.generation).toBe(0)
    play.unique()
    expect(play.state).toMatchObject({ generation: 1, generationId: 'id-1', kernelRandom: 'kernel' })
  })

  it('is ready at once where nobody is tracked, with one write of the page', () => {
    const play = new Play().join('1', { tracked: false }).restore().unique()
    expect(play.announced).toEqual(['generation', 'ready'])
    expect(play.effects.filter(({ type }) => type === 'publish')).toHaveLength(1)
    expect(play.state.phase).toBe('running')
  })

  it('is ready when the last tracked watcher has confirmed, and not before', () => {
    const play = new Play().join('1').join('2').restore().unique()
    expect(play.state.phase).toBe('adjusting')
    expect(play.confirm('1').announced).toEqual([])
    expect(play.confirm('2').announced).toEqual(['ready'])
    expect(isDegraded(play.state)).toBe(false)
  })

  it('that comes while the kernel is being made unique asks for it again, and both count', () => {
    const play = new Play().restore()
    const first = play.state.pending?.attempt ?? 0
    play.restore().unique(first)
    expect(play.state.generation).toBe(0)
    expect(play.unique().state).toMatchObject({ generation: 2, evidence: [evidence, evidence] })
  })

  it('keeps the least generation that was asked for when another comes meanwhile', () => {
    expect(new Play().restore({ minimum: 40 }).restore().unique().state.generation).toBe(40)
  })

  it('has no time of ready while it is adjusting', () => {
    const play = new Play().join('1').restore().unique()
    expect(play.state.readyAtUsec).toBeUndefined()
    expect(play.confirm('1').state.readyAtUsec).toBe(play.nowUsec)
  })

  it('remembers no more signs than are of use', () => {
    const play = new Play()
    for (let count = 0; count < 100; count++) play.restore()
    expect(play.unique().state).toMatchObject({ generation: 100 })
    expect(play.state.evidence.length).toBeLessThanOrEqual(16)
  })

  it('while adjusting starts over, and confirmations of the old generation count for nothing', () => {
    const play = new Play().join('1').restore().unique().restore().unique()
    expect(play.confirm('1', { generation: 1 }).state.phase).toBe('adjusting')
    expect(play.confirm('1').state.phase).toBe('running')
  })

  it('has at least the generation that was asked for', () => {
    expect(new Play().restore({ minimum: 40 }).unique().state.generation).toBe(40)
    expect(new Play(initial({ generation: 7 })).restore({ minimum: 3 }).unique().state.generation).toBe(8)
  })

  it('keeps what sources said of it, early and late', () => {
    const play = new Play().restore()
    play.do({ type: 'evidence', evidence: { source: 'guid', detail: 'another id' } } as never).unique()
    play.do({ type: 'evidence', evidence: { source: 'acpi', detail: 'one more event' } } as never)
    expect(play.state.evidence.map(({ source }) => source)).toEqual(['kmsg', 'guid', 'acpi'])
  })
})

describe('a watcher', () => {
  it('that dies owes nothing', () => {
    const play = new Play().join('1').join('2').restore().unique().confirm('1')
    play.do({ type: 'watcher-left', id: '2' } as never)
    expect(play.announced).toEqual(['ready'])
    expect(isDegraded(play.state)).toBe(false)
  })

  it('that misses its deadline is named, and ready is degraded', () => {
    const play = new Play().join('1', { deadlineMs: 50 }).join('2', { deadlineMs: 100 }).restore().unique()
    expect(nextWakeUsec(play.state)).toBe(play.nowUsec + 50 * ms)
    expect(play.wait(50).announced).toEqual([])
    expect(play.wait(50).announced).toEqual(['ready'])
    expect([...play.state.watchers].map(({ owing }) => owing)).toEqual(['deadline', 'deadline'])
    expect(isDegraded(play.state)).toBe(true)
  })

  it('that confirms after its deadline is adjusted after all', () => {
    const play = new Play().join('1', { deadlineMs: 50 }).restore().unique().wait(50).confirm('1')
    expect(isDegraded(play.state)).toBe(false)
    expect(play.state.watchers.outdated).toBe(0)
  })

  it('that says it failed is not waited for, and stays outdated', () => {
    const play = new Play().join('1').restore().unique().confirm('1', { failure: 'no database' })
    expect(play.announced).toEqual(['ready'])
    expect(isDegraded(play.state)).toBe(true)
    expect(play.state.watchers.get('1')).toMatchObject({ owing: 'failed', failure: 'no database' })
  })

  it('that was outdated when it joined holds up ready, but not beyond the time of its generation', () => {
    const play = new Play(initial({ limits: { maxDeadlineMs: 100 } })).join('1', { deadlineMs: 100 })
    play.restore().unique().wait(80).join('2', { deadlineMs: 100, adjustedTo: 0 })
    expect(play.wait(19).announced).toEqual([])
    expect(play.wait(1).announced).toEqual(['ready'])
  })

  it('is confirmed by its own process only, and for the current generation only', () => {
    const { state } = new Play().join('1').restore().unique()
    expect(checkConfirmation(state, '1', owner, 1)).toBe('ok')
    expect(checkConfirmation(state, '1', { pid: 101, uid: 1000 }, 1)).toBe('not-owner')
    expect(checkConfirmation(state, '1', { pid: 100, uid: 0 }, 1)).toBe('not-owner')
    expect(checkConfirmation(state, '1', owner, 0)).toBe('stale')
    expect(checkConfirmation(state, '9', owner, 1)).toBe('no-such-watcher')
    expect(checkConfirmation(new Play(state).restore().state, '1', owner, 1)).toBe('stale')
  })
})

describe('a daemon that begins while watchers were adjusting', () => {
  it('waits for those that may come back', () => {
    const play = new Play(initial({ generation: 4, phase: 'adjusting', holdUntilUsec: 3_000_000 }))
    expect(play.wait(500).announced).toEqual([])
    expect(play.join('1', { adjustedTo: 3 }).wait(2000).announced).toEqual([])
    expect(play.confirm('1').announced).toEqual(['ready'])
  })

  it('looks again at the end of that time, when the last that came back has confirmed before', () => {
    const play = new Play(initial({ generation: 4, phase: 'adjusting', holdUntilUsec: 3_000_000 }))
    play.join('1', { adjustedTo: 3 }).confirm('1')
    expect(play.announced).toEqual([])
    expect(play.effects).toContainEqual({ type: 'rearm' })
    expect(nextWakeUsec(play.state)).toBe(3_000_000)
  })

  it('waits for them also where another restore is found meanwhile', () => {
    const play = new Play(initial({ generation: 4, holdUntilUsec: 3_000_000 })).restore().unique()
    expect(play.state).toMatchObject({ generation: 5, phase: 'adjusting', readyAtUsec: undefined })
    play.join('1', { adjustedTo: 4 })
    expect(play.wait(2000).announced).toEqual([])
    expect(play.confirm('1').announced).toEqual(['ready'])
  })

  it('is ready without them when their time has passed', () => {
    const play = new Play(initial({ generation: 4, phase: 'adjusting', holdUntilUsec: 3_000_000 }))
    expect(nextWakeUsec(play.state)).toBe(3_000_000)
    expect(play.wait(2000).announced).toEqual(['ready'])
  })
})

describe('whatever happens', () => {
  const id = fc.integer({ min: 1, max: 6 }).map(String)
  const action = fc.oneof(
    { weight: 2, arbitrary: fc.constant((play: Play) => play.restore()) },
    { weight: 3, arbitrary: fc.constant((play: Play) => play.unique()) },
    {
      weight: 1,
      arbitrary: fc.constant((play: Play) => play.unique((play.state.pending?.attempt ?? 2) - 1)),
    },
    {
      weight: 3,
      arbitrary: fc
        .tuple(id, fc.boolean(), fc.integer({ min: 1, max: 200 }), fc.integer({ min: 0, max: 2 }))
        .map(([who, tracked, deadlineMs, behind]) => (play: Play) => {
          if (play.state.watchers.get(who)) return play
          return play.join(who, {
            tracked,
            deadlineMs,
            adjustedTo: Math.max(0, play.state.generation - behind),
          })
        }),
    },
    { weight: 3, arbitrary: id.map((who) => (play: Play) => play.confirm(who)) },
    { weight: 1, arbitrary: id.map((who) => (play: Play) => play.confirm(who, { failure: 'no' })) },
    {
      weight: 1,
      arbitrary: id.map((who) => (play: Play) => play.do({ type: 'watcher-left', id: who } as never)),
    },
    { weight: 2, arbitrary: fc.integer({ min: 1, max: 150 }).map((time) => (play: Play) => play.wait(time)) },
  )

  it('the generation counts the restores, and ready is never said while a watcher is pending', () => {
    fc.assert(
      fc.property(
        fc.array(action, { maxLength: 60 }),
        fc.integer({ min: 0, max: 2_000_000 }),
        (actions, holdUntilUsec) => {
          const play = new Play(initial({ holdUntilUsec }))
          let [restores, published] = [0, 0]
          for (const act of actions) {
            const before = play.state
            act(play)
            const { state, effects } = play
            restores += state.attempts - before.attempts
            expect(state.generation).toBeGreaterThanOrEqual(before.generation)
            if (state.generation !== before.generation) {
              published = restores
              expect(before.pending).toBeDefined()
              expect(state.generationId).not.toBe(before.generationId)
            }
            expect(state.generation).toBe(published)
            const pending = [...state.watchers].filter((watcher) => watcher.owing === 'pending')
            if (effects.some((effect) => effect.type === 'announce' && effect.event === 'ready')) {
              expect(pending).toEqual([])
              expect(play.nowUsec).toBeGreaterThanOrEqual(holdUntilUsec)
            }
            expect(state.watchers.pending).toBe(pending.length)
            expect(state.watchers.outdated).toBe(
              [...state.watchers].filter(({ owing }) => owing !== 'no').length,
            )
            expect(state.watchers.tracked).toBe([...state.watchers].filter(({ tracked }) => tracked).length)
            if (state.phase === 'adjusting') expect(nextWakeUsec(state)).toBeDefined()
          }
        },
      ),
      { numRuns: 500 },
    )
  })
})
