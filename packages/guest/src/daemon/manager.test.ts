import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadNative } from 'snapsafe/native'
import { createOrContinuePage, type PageWriter } from 'snapsafe/protocol'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { SourceEvidence } from '../sources/source.ts'
import type { KernelRandomDoor } from '../system/kernel-random.ts'
import { beginning } from './beginning.ts'
import { parseConfig } from './config.ts'
import { Manager } from './manager.ts'

const { addon } = loadNative()
if (!addon) throw new Error('these tests need the addon: npm run build')

/** Not the machine's generator, which no test may touch: one that answers when the test says so. */
let answer: () => void
const kernelRandom: KernelRandomDoor = {
  makeUnique: () =>
    new Promise((resolve) => {
      answer = () => resolve({ kernelRandom: 'off', detail: 'a test' })
    }),
  addSeed: () => {},
  drawId: () => 'b'.repeat(32),
  close: () => {},
}
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
const save = vi.fn()
const fatal = vi.fn()

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'snapsafe-manager-'))
  page = createOrContinuePage(join(folder, 'generation'), { native: addon, id: 'a'.repeat(32) }).page
  save.mockReset()
  fatal.mockReset()
  manager = new Manager({
    addon,
    page,
    kernelRandom,
    log: { error() {}, warning() {}, info() {} },
    memory,
    freezer,
    enforce: async () => {},
    store: new StateStore(join(folder, 'daemon.json'), quiet),
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

it('shows nobody a generation, and puts no sign on record as seen, before the kernel is unique', async () => {
  manager.report(evidence)
  manager.remember('kmsg', { lastForkSequence: 7 })
  expect(page.snapshot()).toMatchObject({ generation: 0, id: 'a'.repeat(32) })
  expect(save).not.toHaveBeenCalled()

  let shownWhenSaved: number | undefined
  save.mockImplementationOnce(() => {
    shownWhenSaved = page.snapshot().generation
  })
  answer()
  await vi.waitFor(() => expect(save).toHaveBeenCalled())
  expect(shownWhenSaved).toBe(1)
  expect(save.mock.calls[0]?.[1].get('kmsg')).toEqual({ lastForkSequence: 7 })
  expect(page.snapshot()).toMatchObject({ generation: 1, id: 'b'.repeat(32), phase: 'running' })
})

it('says that it cannot go on where no id can be drawn, and shows nothing', async () => {
  vi.spyOn(kernelRandom, 'drawId').mockImplementationOnce(() => {
    throw new Error('no random bytes')
  })
  manager.report(evidence)
  answer()
  await vi.waitFor(() => expect(fatal).toHaveBeenCalledWith(new Error('no random bytes')))
  expect(page.snapshot().generation).toBe(0)
})

it('changes nothing any more when it is closed, whatever was under way', async () => {
  manager.report(evidence)
  manager.close()
  answer()
  await new Promise((resolve) => setImmediate(resolve))
  expect(page.snapshot().generation).toBe(0)
  expect([save, fatal].map((spy) => spy.mock.calls.length)).toEqual([0, 0])
})
