import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadNative } from 'snapsafe/native'
import { createOrContinuePage, type PageWriter } from 'snapsafe/protocol'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { SourceEvidence } from '../sources/source.ts'
import type { KernelRandomDoor } from '../system/kernel-random.ts'
import { beginning } from './beginning.ts'
import { parseConfig } from './config.ts'
import { Manager } from './manager.ts'
import { StateStore } from './store.ts'

const { addon } = loadNative()
if (!addon) throw new Error('these tests need the addon: npm run build')

/** Not the machine's generator, which no test may touch: one that answers when the test says so. */
let answer: () => void
const kernelRandom: KernelRandomDoor = {
  makeUnique: () =>
    new Promise((resolve) => {
      answer = () => resolve({ kernelRandom: 'off', detail: 'a test' })
    }),
  addSeed() {},
  hasSeed: false,
  forgetSeed() {},
  drawId: () => 'b'.repeat(32),
  close() {},
}
const log = { error() {}, warning() {}, info() {} }
const evidence: SourceEvidence = {
  source: 'kmsg',
  kind: 'edge',
  cause: 'ambiguous',
  detail: 'a sign',
  kernelReseeded: false,
}

let folder: string
let page: PageWriter
let manager: Manager
/** What was done, in order, with the generation that the page showed then. */
let done: string[]
const fatal = vi.fn()

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'snapsafe-manager-'))
  page = createOrContinuePage(join(folder, 'generation'), { native: addon, id: 'a'.repeat(32) }).page
  done = []
  fatal.mockReset()
  manager = new Manager({
    addon,
    page,
    kernelRandom,
    log,
    memory: {
      wipe() {
        did('wipe')
        return { regions: 0, failures: [] }
      },
    },
    freezer: {
      async freeze() {
        did('freeze')
        return { frozen: ['/workload'], running: [] }
      },
      thaw: () => did('thaw'),
    },
    enforce: async () => {},
    store: new StateStore(join(folder, 'daemon.json'), log),
    saved: beginning(page.snapshot(), undefined, parseConfig('', 'test'), addon.bootTimeNs()),
    sources: ['kmsg'],
    record() {},
    fatal,
  })
})

afterEach(() => {
  manager.close()
  page.close()
  rmSync(folder, { recursive: true })
})

function did(what: string): void {
  const { generation, phase } = page.snapshot()
  done.push(`${what} at ${generation}, ${phase}`)
}

/** What a daemon would find that came now. */
function onRecord() {
  const left = new StateStore(join(folder, 'daemon.json'), log).load()
  if (!left) throw new Error('nothing is on record')
  return left
}

async function quiesced(): Promise<void> {
  manager.dispatch({
    type: 'quiesce',
    nowUsec: manager.nowUsec(),
    deadlineMs: 1000,
    thawAfterMs: 60_000,
    force: false,
    callerPid: process.pid,
  })
  await vi.waitFor(() => expect(manager.state.phase).toBe('quiesced'))
}

describe('a restore', () => {
  it('is on record, with what its source has seen, before anything follows from it', () => {
    manager.report(evidence, { memory: { lastForkSequence: 7 } })
    expect(page.snapshot()).toMatchObject({ generation: 0, id: 'a'.repeat(32) })
    const { state, memories } = onRecord()
    expect(state.pending).toMatchObject({ restores: 1 })
    expect(memories.get('kmsg')).toEqual({ lastForkSequence: 7 })
  })

  it('is shown when the kernel is unique, and is on record then', async () => {
    manager.report(evidence)
    answer()
    await vi.waitFor(() => expect(page.snapshot().generation).toBe(1))
    expect(page.snapshot()).toMatchObject({ id: 'b'.repeat(32), phase: 'running' })
    expect(onRecord().state).toMatchObject({ generation: 1, generationId: 'b'.repeat(32) })
  })

  it('that ends a planned snapshot wipes memory first, and thaws when the page has changed', async () => {
    await quiesced()
    manager.report(evidence)
    answer()
    await vi.waitFor(() => expect(page.snapshot().generation).toBe(1))
    expect(done).toEqual([
      'wipe at 0, quiescing',
      'freeze at 0, quiescing',
      'wipe at 0, quiesced',
      'wipe at 0, quiesced',
      'wipe at 0, quiesced',
      'thaw at 1, running',
    ])
  })

  it('cannot be shown where no id can be drawn: the daemon cannot go on', async () => {
    vi.spyOn(kernelRandom, 'drawId').mockImplementationOnce(() => {
      throw new Error('no random bytes')
    })
    manager.report(evidence)
    answer()
    await vi.waitFor(() => expect(fatal).toHaveBeenCalledWith(new Error('no random bytes')))
    expect(page.snapshot().generation).toBe(0)
  })

  it('changes nothing any more when the manager is closed, whatever was under way', async () => {
    manager.report(evidence)
    manager.close()
    answer()
    await new Promise((resolve) => setImmediate(resolve))
    expect(page.snapshot().generation).toBe(0)
    expect(fatal).not.toHaveBeenCalled()
  })
})

describe('a planned snapshot without a restore', () => {
  it('is over on the page before anybody is thawed', async () => {
    await quiesced()
    manager.dispatch({ type: 'resume', nowUsec: manager.nowUsec(), outcome: 'resumed', detail: 'a test' })
    expect(done.at(-1)).toBe('thaw at 0, running')
    expect(manager.state.log.at(-1)).toMatchObject({ outcome: 'resumed', detail: 'a test' })
  })
})
