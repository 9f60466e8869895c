import { spawnSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { loadNative } from 'snapsafe/native'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { kmsgSource } from './kmsg.ts'
import { vmForkMessage } from './kmsg-record.ts'
import type { Source, SourceEvidence, SourceMemory } from './source.ts'

const { addon } = loadNative()
if (!addon) throw new Error('these tests need the addon: npm run build')

/** Stands for /dev/kmsg, of which one read gives one record too, as long as one is written at a time. */
let folder: string
let log: number
let source: Source
let seen: SourceEvidence[]
let memory: SourceMemory | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'snapsafe-kmsg-'))
  const path = join(folder, 'kmsg')
  expect(spawnSync('mkfifo', [path]).status).toBe(0)
  log = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  source = kmsgSource(addon, path)
  seen = []
  memory = undefined
})

afterEach(() => {
  source.close()
  closeSync(log)
  rmSync(folder, { recursive: true })
})

function record(sequence: number, { priority = 5, message = vmForkMessage } = {}): void {
  writeSync(log, `${priority},${sequence},1000,-;${message}\n`)
}

async function start(options: { continued?: boolean; memory?: SourceMemory } = {}): Promise<void> {
  await source.start({
    continued: options.continued ?? false,
    memory: options.memory,
    report: (evidence, next) => {
      seen.push(evidence)
      memory = next
    },
    remember: (next) => {
      memory = next
    },
    fail: (error) => {
      throw error
    },
  })
}

/** Lets the event loop look at its descriptors a few times. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await setImmediate()
}

/** When this line has been read, so have those before it. */
async function untilRead(sequence: number): Promise<void> {
  record(sequence)
  await vi.waitUntil(() => memory?.lastForkSequence === sequence, { timeout: 10_000 })
}

describe('the kernel log', () => {
  it('gives one sign for each line of the kernel, and none for another', async () => {
    await start()
    await untilRead(10)
    record(11, { message: 'random: crng init done' })
    await turns()
    record(12, { priority: 13 })
    await turns()
    await untilRead(13)
    expect(seen).toHaveLength(2)
    expect(seen[0]).toMatchObject({ source: 'kmsg', kind: 'edge', cause: 'clone', kernelReseeded: true })
  })

  it('takes what a first daemon finds there as the past', async () => {
    record(7)
    await start()
    expect(seen).toEqual([])
    expect(memory).toEqual({ lastSequence: 7, lastForkSequence: 7 })
  })

  it('gives a sign for what came while there was no daemon', async () => {
    record(7)
    await start({ continued: true, memory: { lastSequence: 6, lastForkSequence: 5 } })
    expect(seen).toMatchObject([{ cause: 'clone' }])
    expect(memory).toEqual({ lastSequence: 7, lastForkSequence: 7 })
  })

  it('gives none for what the daemon before has seen', async () => {
    record(7)
    await start({ continued: true, memory: { lastSequence: 7, lastForkSequence: 7 } })
    expect(seen).toEqual([])
  })

  it('is in doubt where records are missing since the daemon before', async () => {
    record(5000, { message: 'something else' })
    await start({ continued: true, memory: { lastSequence: 10, lastForkSequence: 5 } })
    expect(seen).toMatchObject([{ cause: 'ambiguous', kernelReseeded: false }])
    expect(memory).toEqual({ lastSequence: 5000, lastForkSequence: 5 })
  })

  it('is in doubt where records are missing while it is read, and once where the line is there', async () => {
    await start()
    await untilRead(10)
    record(20, { message: 'something else' })
    await vi.waitUntil(() => seen.length === 2, { timeout: 10_000 })
    await untilRead(30)
    expect(seen.map(({ cause }) => cause)).toEqual(['clone', 'ambiguous', 'clone'])
  })

  it('takes what it finds for new where the daemon before left nothing', async () => {
    record(7)
    await start({ continued: true })
    expect(seen).toHaveLength(1)
  })

  it('that cannot be opened says what would help', async () => {
    source = kmsgSource(addon, join(folder, 'missing'))
    await expect(start()).rejects.toMatchObject({
      code: 'ERR_SNAPSAFE_SOURCE_UNAVAILABLE',
      message: expect.stringContaining('cannot open'),
    })
  })
})
