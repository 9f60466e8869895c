import type { PageSnapshot } from 'snapsafe/protocol'
import { expect, it } from 'vitest'
import { beginWith } from '../orchestrator/state.ts'
import { beginning } from './beginning.ts'
import { parseConfig } from './config.ts'
import type { Saved } from './store.ts'

const config = parseConfig('[watchers]\ngrace = "3s"\nmax_deadline = "20s"\n', 'test')
const nowNs = 5_000_000_000n
const nowUsec = 5_000_000

function page(change: Partial<PageSnapshot> = {}): PageSnapshot {
  return {
    generation: 4,
    phase: 'running',
    id: 'a'.repeat(32),
    changedAtNs: 1_000_000_000n,
    trackedWatchers: 0,
    outdatedWatchers: 0,
    layoutVersion: 1,
    ...change,
  }
}

function leftAt(generation: number): Saved {
  const state = beginWith({
    generation,
    generationId: 'b'.repeat(32),
    phase: 'running',
    cause: 'command',
    kernelRandom: 'off',
    changedAtUsec: 1,
    readyAtUsec: 2,
    holdUntilUsec: 0,
    limits: { maxDeadlineMs: 1, graceMs: 1 },
  })
  return { state, memories: new Map([['kmsg', { last: 1 }]]), credits: new Map() }
}

it('goes on with what the daemon before left, within the limits of the configuration', () => {
  const limits = { maxDeadlineMs: 20_000, graceMs: 3000 }
  for (const generation of [4, 5]) {
    const left = leftAt(generation)
    // Half written, or quiesced: whoever knows what was written needs no restore for that.
    for (const phase of ['running', 'quiesced'] as const) {
      const begun = beginning(page({ phase }), left, config, nowNs, true)
      expect(begun).toEqual({ ...left, state: { ...left.state, limits } })
    }
  }
})

it('takes nothing that is behind the page', () => {
  const { state, memories } = beginning(page(), leftAt(3), config, nowNs)
  expect(state).toMatchObject({
    generation: 4,
    generationId: 'a'.repeat(32),
    phase: 'running',
    cause: 'ambiguous',
  })
  expect(state.pending).toBeUndefined()
  expect(memories.size).toBe(0)
})

it('gives watchers that nobody knows the time to come back', () => {
  const hold = (change: Partial<PageSnapshot>) =>
    beginning(page(change), undefined, config, nowNs).state.holdUntilUsec - nowUsec
  expect(hold({})).toBe(0)
  expect(hold({ trackedWatchers: 1 })).toBe(3_000_000)
  expect(hold({ phase: 'adjusting' })).toBe(3_000_000)
})

it('begins with a restore where what is frozen may be a copy, or the page is of no generation', () => {
  const quiesced = beginning(page({ phase: 'quiesced' }), undefined, config, nowNs).state
  expect(quiesced).toMatchObject({
    generation: 4,
    phase: 'quiesced',
    pending: { attempt: 1, restores: 1, cause: 'ambiguous', evidence: [{ source: 'page', atUsec: nowUsec }] },
  })
  const halfWritten = beginning(page(), undefined, config, nowNs, true).state
  expect(halfWritten).toMatchObject({ generation: 4, pending: { attempt: 1, restores: 1 } })
  for (const phase of ['running', 'quiescing', 'adjusting'] as const)
    expect(beginning(page({ phase }), undefined, config, nowNs).state.pending).toBeUndefined()
})
