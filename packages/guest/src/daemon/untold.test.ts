import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { initial } from '../../../../test/support/orchestrator/stored.ts'
import type { OrchestratorEvent } from '../orchestrator/events.ts'
import { step } from '../orchestrator/machine.ts'
import type { OrchestratorState } from '../orchestrator/state.ts'
import type { WatcherRecord } from '../orchestrator/watcher-table.ts'
import { StateStore } from './store.ts'
import { untoldTo } from './untold.ts'

const log = { error() {}, warning() {}, info() {} }
const owner = { pid: 100, uid: 1000, startTicks: 1 }
const restore = {
  type: 'restore',
  cause: 'clone',
  kernelReseeded: true,
  evidence: { source: 'kmsg', detail: 'seen', atUsec: 1 },
} as const
const unique = { type: 'kernel-unique', attempt: 1, kernelRandom: 'kernel', generationId: 'b' } as const

type Timeless<E> = E extends unknown ? Omit<E, 'nowUsec'> : never

let folder: string
let store: StateStore
let state: OrchestratorState

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'snapsafe-untold-'))
  store = new StateStore(join(folder, 'daemon.json'), log)
  state = initial()
  store.write({ state, memories: new Map(), credits: new Map() })
})
afterEach(() => {
  store.close()
  rmSync(folder, { recursive: true })
})

/** Puts events on record as the daemon does, which is killed before it does anything about the last of them. */
function record(...events: Timeless<OrchestratorEvent>[]): void {
  for (const event of events) {
    const timed = { ...event, nowUsec: 10 } as OrchestratorEvent
    store.append({ event: timed })
    ;[state] = step(state, timed)
  }
}

function joined(id: string, change: Partial<WatcherRecord> = {}) {
  return {
    type: 'watcher-joined',
    id,
    name: `w${id}`,
    owner,
    tracked: false,
    stage: 'application',
    deadlineMs: 1000,
    policy: 'report',
    beforeSnapshot: false,
    registeredAtUsec: 1,
    adjustedTo: 0,
    ...change,
  } as const
}

/** What the next daemon tells the watcher. */
function told(id: string): readonly string[] {
  const left = store.load()
  const watcher = left?.state.watchers.get(id)
  if (!left || !watcher) throw new Error(`there is no watcher ${id}`)
  return untoldTo(watcher, left.state, left.untold ?? [])
}

describe('a watcher whose connection outlives its daemon', () => {
  it('is told of the generation and of ready, where that one died before it did', () => {
    record(joined('1'), restore, unique)
    expect(told('1')).toEqual(['generation', 'ready'])
  })

  it('is told nothing again that it was told', () => {
    record(joined('1'), restore, unique)
    store.append({})
    expect(told('1')).toEqual([])
    record(joined('2'))
    expect(told('1')).toEqual([])
  })

  it('is told where another daemon has begun meanwhile, and died as well', () => {
    record(joined('1'), restore, unique)
    const left = store.load()
    if (!left) throw new Error('nothing was left')
    store.write(left)
    expect(told('1')).toEqual(['generation', 'ready'])
  })

  it('is told of a generation that it owes a confirmation for, in any case', () => {
    record(joined('1', { tracked: true }), joined('2'), restore, unique)
    store.append({})
    expect(told('1')).toEqual(['generation'])
    expect(told('2')).toEqual([])
  })

  it('is not told of a generation before its stage has begun, nor of one that another follows at once', () => {
    record(joined('1', { tracked: true }), joined('2', { tracked: true, stage: 'identity' }), restore, unique)
    expect(told('1')).toEqual([])
    expect(told('2')).toEqual(['generation'])
    record(restore)
    expect(told('2')).toEqual([])
  })

  it('is told that a planned snapshot is over, if it asked for that', () => {
    const plan = { deadlineMs: 1000, thawAfterMs: 1000, force: false, callerPid: 1 }
    record(joined('1'), joined('2', { beforeSnapshot: true }), { type: 'quiesce', ...plan })
    record({ type: 'resume', outcome: 'resumed', detail: 'a test' })
    expect(told('1')).toEqual([])
    expect(told('2')).toEqual(['resumed'])
  })
})

describe('the state machine, when another daemon goes on', () => {
  it('has those whose connection was kept as they were, tracked or not, and the others absent or gone', () => {
    const tracked = { tracked: true }
    record(joined('1', tracked), joined('2'), joined('3', tracked), joined('4'), joined('5', tracked))
    const before = [state.watchers.get('1'), state.watchers.get('2')]
    record({ type: 'restarted', connected: ['1', '2'], dead: ['5'] })
    expect([state.watchers.get('1'), state.watchers.get('2')]).toEqual(before)
    expect([...state.watchers].map(({ id }) => id)).toEqual(['1', '2', '3'])
    expect(state.watchers.absent).toBe(1)
  })

  it('waits for one whose connection was kept until its deadline, not its grace', () => {
    record(joined('1', { tracked: true, deadlineMs: 5000 }), restore, unique)
    record({ type: 'restarted', connected: ['1'], dead: [] })
    ;[state] = step(state, { type: 'time', nowUsec: 4_000_000 })
    expect(state.watchers.pending).toBe(1)
    ;[state] = step(state, { type: 'time', nowUsec: 6_000_000 })
    expect(state.watchers.get('1')).toMatchObject({ owing: 'deadline' })
  })
})
