import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { initial } from '../../../../test/support/orchestrator/stored.ts'
import type { OrchestratorEvent } from '../orchestrator/events.ts'
import { step } from '../orchestrator/machine.ts'
import type { OrchestratorState } from '../orchestrator/state.ts'
import { type Saved, StateStore, type StoreRecord } from './store.ts'
import { isTelling } from './untold.ts'

const mebibyte = 1024 * 1024

let folder: string
let path: string
let store: StateStore
/** What the store has logged. */
let logged: string[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'snapsafe-store-'))
  path = join(folder, 'daemon.json')
  logged = []
  store = another()
})

afterEach(() => {
  store.close()
  rmSync(folder, { recursive: true })
})

describe('what a daemon leaves', () => {
  it('is nothing where there was none', () => {
    expect(store.load()).toBeUndefined()
    expect(logged).toEqual([])
  })

  it('is for its owner alone, and takes the place of what was there in one step', () => {
    store.write(saved())
    const before = statSync(path)
    expect(before.mode & 0o777).toBe(0o600)
    store.write(saved())
    expect(statSync(path).ino).not.toBe(before.ino)
    expect(readdirSync(folder)).toEqual(['daemon.json'])
  })

  it('is what was written and all that was appended, memories of sources and credits among it', () => {
    store.write({ ...saved(), memories: new Map([['kmsg', { last: 1 }]]), credits: new Map([['kmsg', [5]]]) })
    store.append({ memory: { source: 'kmsg', memory: { last: 2 } }, credits: [['host', [7, 8]]] })
    store.append({ memory: { source: 'vmclock', memory: { counter: 'x' } } })
    expect(another().load()).toMatchObject({
      memories: new Map<string, object>([
        ['kmsg', { last: 2 }],
        ['vmclock', { counter: 'x' }],
      ]),
      credits: new Map([['host', [7, 8]]]),
    })
  })

  it('ends with the last line that is whole, wherever in the next one the daemon was killed', () => {
    store.write(saved())
    store.append({ event: joined('1') })
    const whole = readFileSync(path).length
    store.append({ event: joined('2') })
    const all = readFileSync(path).length
    for (let length = whole; length < all; length++) {
      truncateSync(path, all)
      truncateSync(path, length)
      expect([...(another().load()?.state.watchers ?? [])].map(({ id }) => id)).toEqual(['1'])
    }
    expect(logged).toEqual([])
  })

  it.each([
    ['of another format', '{"version":1,"state":{}}\n', 'it is of format 1, not 2'],
    ['empty', '', 'it is empty'],
    ['without a whole line', '{"version":2', 'it is empty'],
    ['no JSON', 'a daemon was here\n', 'not valid JSON'],
  ])('is nothing where the file is %s, and that is logged', (_, text, why) => {
    writeFileSync(path, text)
    expect(store.load()).toBeUndefined()
    expect(logged).toEqual([expect.stringMatching(/^warning: cannot go on from .*daemon\.json: /)])
    expect(logged[0]).toContain(why)
  })

  it('is nothing where a line in its middle is spoilt: what came after it may hang on it', () => {
    store.write(saved())
    appendFileSync(path, `{"event":{"ty\n${JSON.stringify({ event: joined('1') })}\n`)
    expect(another().load()).toBeUndefined()
    expect(logged).toHaveLength(1)
  })
})

describe('the file', () => {
  it('is written anew when a mebibyte was appended, and then says the same', () => {
    let state = start()
    const take = (event: OrchestratorEvent): void => {
      store.append({ event })
      ;[state] = step(state, event)
      store.tidy(() => saved(state))
    }
    store.write(saved(state))
    const { ino } = statSync(path)
    let largest = 0
    for (let id = 1; statSync(path).ino === ino; id++) {
      if (id > 5000) throw new Error('it is never written anew')
      largest = statSync(path).size
      take(joined(String(id), 'x'.repeat(1000)))
      take({ type: 'watcher-left', nowUsec: id, id: String(id), mayReturn: false })
    }
    expect(largest).toBeGreaterThan(mebibyte - 5000)
    expect(largest).toBeLessThan(mebibyte + 5000)
    expect(statSync(path).size).toBeLessThan(10_000)
    take(joined('9999'))
    expect(plain(another().load()?.state)).toEqual(plain(state))
  })

  it('is gone when a change cannot be appended: nobody takes the past for the present', () => {
    store.write(saved())
    withFullFiles(() => store.append({ event: joined('1') }))
    expect(existsSync(path)).toBe(false)
    expect(logged).toEqual([expect.stringMatching(/^error: cannot write .*daemon\.json: EFBIG/)])
    expect(another().load()).toBeUndefined()
  })

  it('comes back, whole, when there is room again, and is not asked for at every change before', async () => {
    store.write(saved())
    withFullFiles(() => {
      store.append({ event: joined('1') })
      for (let change = 0; change < 10; change++) store.tidy(() => saved())
    })
    expect(logged).toHaveLength(1)
    const [state] = step(start(), joined('1'))
    await expect
      .poll(
        () => {
          store.tidy(() => saved(state))
          return plain(another().load()?.state)
        },
        { timeout: 5000 },
      )
      .toEqual(plain(state))
  })

  it('that cannot be written costs no descriptor', () => {
    symlinkSync('/dev/full', `${path}.new`)
    store.write(saved())
    const before = readdirSync('/proc/self/fd').length
    for (let attempt = 0; attempt < 5; attempt++) store.write(saved())
    expect(readdirSync('/proc/self/fd').length).toBe(before)
    expect(logged[0]).toMatch(/^error: cannot write .*ENOSPC/)
    expect(existsSync(path)).toBe(false)
  })
})

describe('a daemon that comes next', () => {
  it('finds the state of the last at every moment of its life, and would do the same from there on', () => {
    let state = start()
    let untold: unknown[] = []
    store.write(saved(state))
    for (const event of story) {
      const left = another().load()
      const found = left?.state as OrchestratorState
      expect(plain(found)).toEqual(plain(state))
      expect(left?.untold).toEqual(untold)
      const [next, effects] = step(state, event)
      const [same, sameEffects] = step(found, event)
      expect(plain(same)).toEqual(plain(next))
      expect(sameEffects).toEqual(effects)
      store.append({ event })
      state = next
      untold = effects.filter(isTelling)
    }
    // An empty record says that they were told.
    store.append({})
    expect(another().load()?.untold).toEqual([])
    expect(plain(another().load()?.state)).toEqual(plain(state))
    expect(state).toMatchObject({ generation: 3, phase: 'running', quiesces: 2, restoreId: 'b' })
    expect([...state.watchers].map(({ name, owing }) => [name, owing])).toEqual([
      ['watcher 2', 'failed'],
      ['watcher 3', 'pending'],
    ])
  })

  it('finds a state that was written in the middle as it does one that was played from the beginning', () => {
    let state = start()
    const states: unknown[] = []
    for (const event of story) {
      ;[state] = step(state, event)
      store.write(saved(state))
      states.push(plain(another().load()?.state))
      expect(states.at(-1)).toEqual(plain(state))
    }
    expect(new Set(states.map((one) => JSON.stringify(one))).size).toBeGreaterThan(story.length / 2)
  })

  it('takes what belongs to one sign of a restore as a whole or not at all', () => {
    store.write(saved())
    const record: StoreRecord = {
      event: restore(1, 'a'),
      credits: [['kmsg', [9]]],
      memory: { source: 'host', memory: { last: 1 } },
    }
    const before = readFileSync(path).length
    store.append(record)
    const taken = another().load()
    expect(taken?.state.pending).toMatchObject({ restores: 1 })
    expect([taken?.credits.size, taken?.memories.size]).toEqual([1, 1])
    truncateSync(path, before + 20)
    const left = another().load()
    expect([left?.state.pending, left?.credits.size, left?.memories.size]).toEqual([undefined, 0, 0])
  })
})

/** Two planned snapshots, restores of both, watchers that adjust, fail and come back, and a daemon that dies in between. */
const story: readonly OrchestratorEvent[] = [
  joined('1'),
  joined('2', 'watcher 2'),
  quiesce(10),
  { type: 'prepared', nowUsec: 11, id: '2', quiesce: 1 },
  { type: 'prepared', nowUsec: 12, id: '1', quiesce: 1 },
  { type: 'frozen', nowUsec: 13, quiesce: 1, frozen: ['/work'], running: [{ group: '/x', why: 'a test' }] },
  restore(14, 'a'),
  { type: 'restarted', nowUsec: 15, connected: [], dead: [] },
  { type: 'release', nowUsec: 16, detail: 'a test' },
  { type: 'kernel-unique', nowUsec: 17, attempt: 2, kernelRandom: 'off', generationId: 'b'.repeat(32) },
  joined('3', 'watcher 2', { nowUsec: 18, adjustedTo: 0 }),
  { type: 'watcher-left', nowUsec: 19, id: '1', mayReturn: true },
  { type: 'confirmed', nowUsec: 20, id: '3', generation: 1 },
  { type: 'time', nowUsec: 3_000_000 },
  quiesce(3_000_001),
  { type: 'prepared', nowUsec: 3_000_002, id: '3', quiesce: 2 },
  { type: 'frozen', nowUsec: 3_000_003, quiesce: 2, frozen: ['/work'], running: [] },
  { type: 'time', nowUsec: 70_000_000 },
  restore(70_000_001, 'b'),
  {
    type: 'kernel-unique',
    nowUsec: 70_000_002,
    attempt: 4,
    kernelRandom: 'off',
    generationId: 'c'.repeat(32),
  },
  { type: 'confirmed', nowUsec: 70_000_003, id: '3', generation: 3, failure: 'a test' },
  joined('4', 'watcher 3', { nowUsec: 70_000_004, adjustedTo: 1 }),
]

function another(): StateStore {
  const log = (level: string) => (message: string) => logged.push(`${level}: ${message}`)
  return new StateStore(path, { error: log('error'), warning: log('warning'), info: log('info') })
}

function start(): OrchestratorState {
  return initial()
}

function saved(state = start()): Saved {
  return { state, memories: new Map(), credits: new Map() }
}

function joined(
  id: string,
  name = `watcher ${id}`,
  { nowUsec = 1, adjustedTo = 0 } = {},
): Extract<OrchestratorEvent, { type: 'watcher-joined' }> {
  return {
    type: 'watcher-joined',
    nowUsec,
    id,
    name,
    owner: { pid: 100, uid: 1000, startTicks: 5 },
    tracked: true,
    stage: 'application',
    deadlineMs: 10_000,
    policy: 'report',
    beforeSnapshot: true,
    registeredAtUsec: nowUsec,
    adjustedTo,
  }
}

function quiesce(nowUsec: number): OrchestratorEvent {
  return { type: 'quiesce', nowUsec, deadlineMs: 1000, thawAfterMs: 60_000, force: false, callerPid: 7 }
}

function restore(nowUsec: number, restoreId: string): OrchestratorEvent {
  const evidence = { source: 'host', detail: 'a test', atUsec: nowUsec }
  return { type: 'restore', nowUsec, cause: 'host', evidence, kernelReseeded: false, restoreId }
}

/** A state with its table as a list, to be compared; as JSON, for which undefined is the same as nothing. */
function plain(state: OrchestratorState | undefined): unknown {
  return state && JSON.parse(JSON.stringify({ ...state, watchers: [...state.watchers] }))
}

/** While this runs, no file of this process can grow: the kernel answers EFBIG, as it does ENOSPC on a full file system. */
function withFullFiles(run: () => void): void {
  const limit = (size: string): void => {
    const { status, stderr } = spawnSync('prlimit', ['--pid', String(process.pid), `--fsize=${size}:`])
    if (status !== 0) throw new Error(`prlimit: ${stderr}`)
  }
  limit('1')
  try {
    run()
  } finally {
    limit('unlimited')
  }
}
