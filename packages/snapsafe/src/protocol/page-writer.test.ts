import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { loadNative, type NativeAddon } from '../native.ts'
import { openPage, type PageReader, type Phase, pageBytes, sequenceOffset } from './page.ts'
import { createOrContinuePage, type PageWriter } from './page-writer.ts'

vi.setConfig({ testTimeout: 30_000 })
const loaded = loadNative()
if (loaded.addon === undefined)
  throw new Error(`${loaded.reason}; these tests need it: node tools/build-addon.mjs`)
const native: NativeAddon = loaded.addon
const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
const directory = fs.mkdtempSync(join(tmpdir(), 'snapsafe-page-writer-'))
const id = '00112233445566778899aabbccddeeff'
const otherId = 'ffeeddccbbaa99887766554433221100'
const isRoot = process.geteuid?.() === 0
const hasCompiler = spawnSync('cc', ['--version']).status === 0
const required = process.env.REQUIRE?.split(',') ?? []
let path = ''
let count = 0
const children: ChildProcess[] = []

beforeEach(() => {
  path = join(directory, `page-${count++}`)
  return () => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
  }
})
afterAll(() => fs.rmSync(directory, { recursive: true }))

function create(): PageWriter {
  return createOrContinuePage(path, { native, id }).page
}

test('REQUIRE=root: the tests that need root can run', () => {
  expect(!required.includes('root') || isRoot).toBe(true)
})

describe('a new page', () => {
  test('is of generation 0, readable by all whatever the umask is, and leaves no other file behind', () => {
    const umask = process.umask(0o077)
    const { page, created, repaired } = createOrContinuePage(path, { native, id })
    process.umask(umask)
    expect({ created, repaired }).toEqual({ created: true, repaired: false })
    expect(fs.statSync(path)).toMatchObject({ size: pageBytes, mode: 0o100444, nlink: 1 })
    expect(page.snapshot()).toMatchObject({ generation: 0, id, phase: 'running', trackedWatchers: 0 })
    expect(fs.readdirSync(directory).filter((name) => name.includes('tmp'))).toEqual([])
    page.close()
  })

  test('has the bytes that readers in other languages rely on', () => {
    const page = create()
    page.publish({ generation: 5, id: otherId, phase: 'quiesced', changedAtNs: 6n, tracked: 7, outdated: 8 })
    page.close()
    const bytes = fs.readFileSync(path)
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, pageBytes / 4)
    expect([...words.subarray(0, 2)]).toEqual([5, 2])
    expect(bytes.toString('latin1', 8, 12)).toBe('SNPS')
    expect(bytes.toString('hex', 0x10, 0x20)).toBe(otherId)
    expect(new BigUint64Array(bytes.buffer, bytes.byteOffset, 8)[4]).toBe(6n)
    expect([...words.subarray(10, 13)]).toEqual([7, 8, 1])
    expect(words.subarray(13).every((word) => word === 0)).toBe(true)
  })

  test('is not made for an id that is none, or where there is no directory', () => {
    expect(() => createOrContinuePage(path, { native, id: id.toUpperCase() })).toThrow(RangeError)
    const error = expect.objectContaining({ code: 'ERR_SNAPSAFE_PAGE_UNAVAILABLE' })
    expect(() => createOrContinuePage(join(path, 'x'), { native, id })).toThrow(error)
    expect(fs.existsSync(path)).toBe(false)
  })
})

describe('publish', () => {
  test('changes what is given and nothing else', () => {
    using page = create()
    page.publish({ generation: 2, id: otherId, tracked: 4 })
    const { changedAtNs } = page.snapshot()
    page.publish({ phase: 'adjusting', outdated: 1 })
    expect(page.snapshot()).toEqual({
      ...{
        generation: 2,
        id: otherId,
        phase: 'adjusting',
        changedAtNs,
        trackedWatchers: 4,
        outdatedWatchers: 1,
      },
      layoutVersion: 1,
    })
    expect(native.bootTimeNs() - changedAtNs).toBeLessThan(1_000_000_000n)
  })

  test.each([
    ['a generation that goes back', { generation: 2, id }],
    ['a new generation without an id', { generation: 4 }],
    ['a new generation with the old id', { generation: 4, id: otherId }],
    ['a generation that does not fit', { generation: 2 ** 32, id }],
    ['an unknown phase', { phase: 'ready' as never }],
    ['an id that is none', { generation: 4, id: 'x' }],
    ['a negative time', { changedAtNs: -1n }],
    ['a count that is not whole', { tracked: 0.5 }],
  ])('refuses %s and leaves the page as it is', (_what, change) => {
    using page = create()
    page.publish({ generation: 3, id: otherId })
    const before = fs.readFileSync(path)
    expect(() => page.publish(change)).toThrow(RangeError)
    expect(fs.readFileSync(path)).toEqual(before)
  })

  test('lets nobody see that the phase is no longer quiesced before the generation is new', () => {
    const before = Array.from({ length: 16 }, (_, steps) => {
      using page = create()
      page.publish({ generation: 3, id: otherId, phase: 'quiesced' })
      using reader = openPage(path)
      const isComplete = publishSteps(steps, 4, 'adjusting')
      fs.renameSync(path, `${path}.${steps}`)
      return { stamp: reader.stamp(), isComplete }
    })
    expect(new Set(before.map(({ stamp }) => stamp))).toEqual(new Set([Number.NaN, 4]))
    expect(before.at(-1)).toEqual({ stamp: 4, isComplete: true })
  })

  test('lets nobody see a new generation with the phase running of the one before', () => {
    const seen = Array.from({ length: 16 }, (_, steps) => {
      using page = create()
      page.publish({ generation: 3, id: otherId })
      publishSteps(steps, 4, 'adjusting')
      fs.renameSync(path, `${path}.${steps}`)
      const { generation, phase } = page.snapshot()
      return `${generation} ${phase}`
    })
    expect(new Set(seen)).toEqual(new Set(['3 running', '3 adjusting', '4 adjusting']))
  })

  test('is told by inotify', async () => {
    using page = create()
    const watcher = fs.watch(path)
    const event = once(watcher, 'change', { signal: AbortSignal.timeout(2000) })
    page.publish({ phase: 'adjusting' })
    expect((await event)[0]).toBe('change')
    watcher.close()
  })

  test.skipIf(!hasCompiler)('wakes those who wait for the first word with a futex (needs cc)', async () => {
    using page = create()
    const waiter = startFutexWaiter()
    await once(waiter.stdout as NonNullable<typeof waiter.stdout>, 'data')
    // It says "waiting" right before the call, in which it sleeps.
    const isAsleep = () => /^State:\tS/m.test(fs.readFileSync(`/proc/${waiter.pid}/status`, 'utf8'))
    await vi.waitUntil(isAsleep, { timeout: 10_000 })
    const output = once(waiter.stdout as NonNullable<typeof waiter.stdout>, 'data')
    page.publish({ generation: 1, id: otherId })
    expect(String((await output)[0])).toBe('woken 1\n')
  })

  test('is impossible after close, which may come twice', () => {
    const page = create()
    page.close()
    page.close()
    const error = expect.objectContaining({ code: 'ERR_SNAPSAFE_PAGE_CLOSED' })
    expect(() => page.publish({})).toThrow(error)
    expect(() => page.snapshot()).toThrow(error)
  })
})

// Only root may open a file of mode 0444 for writing.
describe.skipIf(!isRoot)('an existing page (needs root)', () => {
  test('goes on in place: who has it mapped sees what the next writer publishes', () => {
    const first = create()
    first.publish({ generation: 3, id: otherId, phase: 'adjusting' })
    first.close()
    using reader = openPage(path)
    const { page, created, repaired } = createOrContinuePage(path, { native, id })
    expect({ created, repaired }).toEqual({ created: false, repaired: false })
    expect(page.snapshot()).toMatchObject({ generation: 3, id: otherId, phase: 'adjusting' })
    page.publish({ generation: 4, id })
    expect(reader.generation()).toBe(4)
    expect(reader.isCurrent(path)).toBe(true)
    page.close()
  })

  const foreigners: [fault: string, spoil: () => void][] = [
    ['wrong magic', () => fs.writeFileSync(path, Buffer.alloc(pageBytes))],
    ['wrong size', () => fs.truncateSync(path, pageBytes - 1)],
    ['wrong size', () => fs.truncateSync(path, 2 * pageBytes)],
    ['wrong owner', () => fs.chownSync(path, 65534, 65534)],
    ['writable by others', () => fs.chmodSync(path, 0o646)],
    ['symbolic link', () => replace((target) => fs.symlinkSync(target, path))],
    ['not a regular file', () => replace(() => fs.mkdirSync(path))],
    ['not a regular file', () => replace(() => spawnSync('mkfifo', [path]))],
  ]
  test.each(foreigners)('is refused, and left alone: %s', (fault, spoil) => {
    create().close()
    spoil()
    const { ino, size, mode, mtimeMs, ctimeMs } = fs.lstatSync(path)
    const error = expect.objectContaining({ code: 'ERR_SNAPSAFE_PAGE_FOREIGN', fault })
    expect(() => createOrContinuePage(path, { native, id })).toThrow(error)
    expect(fs.lstatSync(path)).toMatchObject({ ino, size, mode, mtimeMs, ctimeMs })
  })

  test('whose writer stopped after any step of an update goes on with that very update; nobody sees a part of it', () => {
    create().close()
    using reader = openPage(path)
    let repairs = 0
    let isComplete = false
    for (let steps = 0; !isComplete && steps < 20; steps++) {
      const generation = reader.generation() + 1
      isComplete = publishSteps(steps, generation)
      const unfinished = fs.readFileSync(path).readUInt8(sequenceOffset) % 2 === 1
      if (unfinished)
        expect(() => reader.read()).toThrow(expect.objectContaining({ code: 'ERR_SNAPSAFE_PAGE_BUSY' }))
      const { page, repaired } = createOrContinuePage(path, { native, id })
      expect(repaired).toBe(unfinished)
      if (repaired) {
        repairs++
        // Who opens it may die as well, before it has written anything.
        expect(() => reader.read()).toThrow(expect.objectContaining({ code: 'ERR_SNAPSAFE_PAGE_BUSY' }))
      }
      if (reader.generation() === generation) expect(page.snapshot().id).toBe(idOf(generation))
      else expect(reader.generation()).toBe(generation - 1)
      page.publish({ generation, id: idOf(generation) })
      expect(reader.read()).toMatchObject({ generation, id: idOf(generation) })
      page.close()
    }
    expect(repairs).toBe(7)
  })

  test('never shows a new generation with an old id, while writers are killed at random moments', async () => {
    create().close()
    let reads = 0
    let repairs = 0
    for (let round = 0; round < 8; round++) {
      const child = startBusyWriter()
      await once(child.stdout as NonNullable<typeof child.stdout>, 'data')
      const endAtMs = performance.now() + 20 + Math.random() * 5
      using mapped = openPage(path)
      using reading = openPage(path, { native: undefined })
      while (performance.now() < endAtMs) {
        for (const page of [mapped, reading]) reads += readWhileBusy(page)
      }
      child.kill('SIGKILL')
      await once(child, 'exit')
      const { page, repaired } = createOrContinuePage(path, { native, id })
      if (repaired) repairs++
      else expectIdOfGeneration(page.snapshot())
      const generation = page.snapshot().generation + 1
      page.publish({ generation, id: idOf(generation) })
      expectIdOfGeneration(mapped.read())
      page.close()
    }
    expect(reads).toBeGreaterThan(100)
    expect(repairs).toBeLessThanOrEqual(8)
  })
})

/** Moves the page aside and puts something else in its place. */
function replace(make: (target: string) => void): void {
  fs.renameSync(path, `${path}.target`)
  make(`${path}.target`)
}

/** Publishes, but stops dead before the native call after the given number of them; true if it came to its end. */
function publishSteps(steps: number, generation: number, phase: Phase = 'running'): boolean {
  let left = Number.POSITIVE_INFINITY
  const stopping = new Proxy(native, {
    get: (target, name) => {
      if (--left < 0) throw new Error('stopped')
      return target[name as keyof NativeAddon]
    },
  })
  const { page } = createOrContinuePage(path, { native: stopping, id })
  const reads = 13 + 1 + 1
  left = reads + steps
  try {
    page.publish({ generation, id: idOf(generation), phase })
    return true
  } catch {
    return false
  } finally {
    left = Number.POSITIVE_INFINITY
    page.close()
  }
}

/** A program in another language that maps the page read-only and waits for its first word to change. */
function startFutexWaiter(): ChildProcess {
  const program = `#include <stdint.h>
    #include <stdio.h>
    #include <fcntl.h>
    #include <linux/futex.h>
    #include <sys/mman.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    int main(int argc, char **argv) {
      uint32_t *page = mmap(0, 4096, PROT_READ, MAP_SHARED, open(argv[argc - 1], O_RDONLY), 0);
      printf("waiting\\n");
      fflush(stdout);
      long error = syscall(SYS_futex, page, FUTEX_WAIT, 0, 0, 0, 0);
      printf("%s %u\\n", error ? "not woken" : "woken", *page);
    }`
  const binary = `${path}.waiter`
  expect(spawnSync('cc', ['-x', 'c', '-o', binary, '-'], { input: program }).status).toBe(0)
  return kept(spawn(binary, [path], { stdio: ['ignore', 'pipe', 'inherit'] }))
}

/** Ends with its test at the latest. */
function kept(child: ChildProcess): ChildProcess {
  children.push(child)
  return child
}

/** The id that the test's writers give to a generation. */
function idOf(generation: number): string {
  return generation.toString(16).padStart(8, '0').repeat(4)
}

function expectIdOfGeneration(page: { generation: number; id: string; trackedWatchers: number }): void {
  if (page.generation > 0) expect(page.id).toBe(idOf(page.generation))
}

/** Counts what could be read: a writer that the scheduler stopped in the midst of an update looks like a dead one. */
function readWhileBusy(page: PageReader): number {
  try {
    expectIdOfGeneration(page.read())
    return 1
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_SNAPSAFE_PAGE_BUSY' })
    return 0
  }
}

function startWriter(script: string): ChildProcess {
  const source = `import { createOrContinuePage } from ${JSON.stringify(new URL('./page-writer.ts', import.meta.url).href)}
    import { loadNative } from ${JSON.stringify(new URL('../native.ts', import.meta.url).href)}
    const path = ${JSON.stringify(path)}; const id = ${JSON.stringify(id)}; const native = loadNative().addon
    const idOf = ${idOf.toString()}
    ${script}`
  const args = ['--import', tsx, '--input-type=module', '-e', source]
  return kept(spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] }))
}

function startBusyWriter(): ChildProcess {
  return startWriter(`const { page } = createOrContinuePage(path, { native, id })
    let { generation } = page.snapshot()
    console.log('writing')
    for (;;) { generation++; page.publish({ generation, id: idOf(generation), tracked: generation }) }`)
}
