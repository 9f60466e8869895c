import { type ChildProcess, spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import { serialize } from 'node:v8'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { loadNative, type NativeAddon } from '../native.ts'
import * as pageModule from './page.ts'
import { openPage, type PageReader, pageBytes, sequenceOffset } from './page.ts'
import { createOrContinuePage, type PageWriter } from './page-writer.ts'

vi.setConfig({ testTimeout: 30_000 })
const loaded = loadNative()
if (loaded.addon === undefined)
  throw new Error(`${loaded.reason}; these tests need it: node tools/build-addon.mjs`)
const native: NativeAddon = loaded.addon
const require = createRequire(import.meta.url)
const tsx = pathToFileURL(require.resolve('tsx')).href
const pageUrl = new URL('./page.ts', import.meta.url).href
const directory = fs.mkdtempSync(join(tmpdir(), 'snapsafe-page-'))
const firstId = '00112233445566778899aabbccddeeff'
const secondId = 'ffeeddccbbaa99887766554433221100'
let path = ''
let writer: PageWriter
let count = 0
/** A reader that does not see the change would spin for ever. */
const children: ChildProcess[] = []

beforeEach(() => {
  path = join(directory, `page-${count++}`)
  writer = createOrContinuePage(path, { native, id: firstId }).page
  return () => {
    writer.close()
    for (const child of children.splice(0)) child.kill('SIGKILL')
  }
})
afterAll(() => fs.rmSync(directory, { recursive: true }))

/** A page of this sequence that the test may write to, whoever runs it. */
function writableCopy(sequence: number): string {
  const bytes = fs.readFileSync(path)
  bytes.set(new Uint8Array(Uint32Array.of(sequence).buffer), sequenceOffset)
  fs.writeFileSync(`${path}.copy`, bytes)
  return `${path}.copy`
}

/** Runs a module script with `page` and `path` in a process of its own; gives its lines as they come. */
function runScript(script: string, flags: string[] = [], env: NodeJS.ProcessEnv = {}): AsyncIterator<string> {
  const source = `import { openPage } from ${JSON.stringify(pageUrl)}
    const path = ${JSON.stringify(path)}; const page = openPage(path)
    ${script}`
  const args = [...flags, '--import', tsx, '--input-type=module', '-e', source]
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  return createInterface(child.stdout)[Symbol.asyncIterator]()
}

/** USER_HZ is 100: half a second. */
const ticksUntilOptimized = 50

/** The CPU time of the last script in ticks: utime of proc_pid_stat(5), the 14th field, the 12th after the name. */
function cpuTicks(): number {
  const stat = fs.readFileSync(`/proc/${children.at(-1)?.pid}/stat`, 'utf8')
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[11])
}

async function nextLine(lines: AsyncIterator<string>): Promise<string> {
  return (await lines.next()).value ?? 'the process has ended'
}

describe.each([
  ['mapped', { native }],
  ['read', { native: undefined }],
] as const)('a page that is %s', (how, options) => {
  test('gives all fields of the last update', () => {
    using page = openPage(path, options)
    expect(page.how).toBe(how)
    expect(page.generation()).toBe(0)
    expect(page.read()).toMatchObject({ generation: 0, id: firstId, phase: 'running', layoutVersion: 1 })
    writer.publish({
      generation: 0xffff_fffe,
      id: secondId,
      phase: 'adjusting',
      changedAtNs: 2n ** 63n + 5n,
      tracked: 7,
      outdated: 3,
    })
    expect(page.generation()).toBe(0xffff_fffe)
    expect(page.read()).toEqual({
      generation: 0xffff_fffe,
      phase: 'adjusting',
      id: secondId,
      changedAtNs: 2n ** 63n + 5n,
      trackedWatchers: 7,
      outdatedWatchers: 3,
      layoutVersion: 1,
    })
  })

  test('has a stamp that is the generation, and equals nothing while the phase is quiesced', () => {
    using page = openPage(path, options)
    expect(page.stamp()).toBe(0)
    writer.publish({ generation: 0xffff_ffff, id: secondId, phase: 'quiescing' })
    expect(page.stamp()).toBe(0xffff_ffff)
    writer.publish({ phase: 'quiesced' })
    expect(page.stamp()).toBeNaN()
    expect(page.generation()).toBe(0xffff_ffff)
    writer.publish({ phase: 'adjusting' })
    expect(page.stamp()).toBe(0xffff_ffff)
  })

  test('knows whether another file has taken its place', () => {
    using page = openPage(path, options)
    expect(page.isCurrent(path)).toBe(true)
    fs.renameSync(path, `${path}.old`)
    expect(page.isCurrent(path)).toBe(false)
    expect(page.isCurrent(`${path}.old`)).toBe(true)
    fs.copyFileSync(`${path}.old`, path)
    expect(page.isCurrent(path)).toBe(false)
  })

  test('says so when an update is never finished, and reads again when it is', () => {
    const stuck = writableCopy(1)
    using page = openPage(stuck, options)
    expect(() => page.read()).toThrow(expect.objectContaining({ code: 'ERR_SNAPSAFE_PAGE_BUSY' }))
    const fd = fs.openSync(stuck, 'r+')
    fs.writeSync(fd, Uint32Array.of(2), 0, 4, sequenceOffset)
    fs.closeSync(fd)
    expect(page.read().generation).toBe(0)
  })

  test('is not read after close, which may come twice', () => {
    const page = openPage(path, options)
    page.close()
    page.close()
    expect(() => page.read()).toThrow(expect.objectContaining({ code: 'ERR_SNAPSAFE_PAGE_CLOSED' }))
    for (const read of [page.generation, page.stamp]) {
      if (how === 'mapped') expect(read()).toBe(0)
      else expect(read).toThrow(expect.objectContaining({ code: 'ERR_SNAPSAFE_PAGE_CLOSED' }))
    }
  })

  test.each([
    ['wrong magic', () => Buffer.alloc(pageBytes)],
    ['wrong size', () => fs.readFileSync(path).subarray(0, pageBytes - 1)],
    ['wrong magic', () => fs.readFileSync(path).fill(0, 0x30, 0x34)],
  ])('is refused for %s', (fault, content) => {
    const foreign = `${path}.foreign`
    fs.writeFileSync(foreign, content())
    const error = expect.objectContaining({ code: 'ERR_SNAPSAFE_PAGE_FOREIGN', fault })
    expect(() => openPage(foreign, options)).toThrow(error)
  })

  test('may be of a newer layout, with phases that are not known here', () => {
    const newer = fs.readFileSync(path)
    newer.set(new Uint8Array(Uint32Array.of(9).buffer), 0x30)
    newer.set(new Uint8Array(Uint32Array.of(77).buffer), 0x04)
    fs.writeFileSync(`${path}.newer`, Buffer.concat([newer, Buffer.alloc(pageBytes)]))
    using page = openPage(`${path}.newer`, options)
    expect(page.read()).toMatchObject({ layoutVersion: 9, phase: 'adjusting', id: firstId })
  })
})

test('a page that is not there, a directory and a FIFO are refused without waiting', () => {
  const unavailable = {
    code: 'ERR_SNAPSAFE_PAGE_UNAVAILABLE',
    cause: expect.objectContaining({ code: 'ENOENT' }),
  }
  expect(() => openPage(`${path}.none`)).toThrow(expect.objectContaining(unavailable))
  expect(() => openPage(directory)).toThrow(expect.objectContaining({ fault: 'not a regular file' }))
})

test('an addon that may not map is made up for by reading', () => {
  const mapPage = (): never => {
    throw Object.assign(new Error('no'), { code: 'ERR_NO_EXTERNAL_BUFFERS' })
  }
  using page = openPage(path, { native: { ...native, mapPage } })
  expect(page.how).toBe('read')
  expect(page.generation()).toBe(0)
})

test('opening and closing pages leaks no descriptors', () => {
  const openFds = (): number => fs.readdirSync('/proc/self/fd').length
  const before = openFds()
  for (let i = 0; i < 20; i++) {
    openPage(path).close()
    openPage(path, { native: undefined }).close()
    expect(() => openPage(directory)).toThrow()
  }
  expect(openFds()).toBe(before)
})

test.each([
  ['mapped', {}],
  ['read', { SNAPSAFE_NO_ADDON: '1' }],
])('another process sees every update, %s', async (how, env) => {
  const lines = runScript(
    `console.log(page.how)
    let seen = 0
    while (seen < 5) if (page.generation() !== seen) {
      const all = page.read()
      seen = all.generation
      console.log(JSON.stringify({ ...all, changedAtNs: String(all.changedAtNs) }))
    }`,
    [],
    env,
  )
  expect(await nextLine(lines)).toBe(how)
  for (let generation = 1; generation <= 5; generation++) {
    const id = generation.toString(16).padStart(32, '0')
    writer.publish({ generation, id, phase: 'adjusting', changedAtNs: 5n, tracked: generation, outdated: 1 })
    expect(JSON.parse(await nextLine(lines))).toEqual({
      ...{ generation, id, phase: 'adjusting', changedAtNs: '5', trackedWatchers: generation },
      ...{ outdatedWatchers: 1, layoutVersion: 1 },
    })
  }
})

// The language does not promise it for memory that is not a SharedArrayBuffer: V8 could read it once before the loop.
test.each([
  ['generation', 'a generation', { generation: 1, id: secondId }],
  ['stamp', 'a generation', { generation: 1, id: secondId }],
  ['stamp', 'the phase quiesced', { phase: 'quiesced' }],
] as const)('a hot loop over %s() that V8 has optimized sees %s come', async (check, _what, change) => {
  const lines = runScript(
    `const limit = 5e9
    function spin(seen) { let turns = 0; while (page.${check}() === seen && turns < limit) turns++; return turns }
    console.log('spinning')
    console.log('turns', spin(0))`,
    ['--trace-opt', '--trace-osr'],
  )
  const output: string[] = []
  for (let line = ''; !line.startsWith('spinning'); output.push(line)) line = await nextLine(lines)
  // Time of the CPU, not of the clock: the loop has been running for that long, however busy the machine is.
  const begun = cpuTicks()
  await vi.waitUntil(() => cpuTicks() - begun >= ticksUntilOptimized, { timeout: 15_000 })
  writer.publish(change)
  for (let line = ''; !line.startsWith('turns'); output.push(line)) line = await nextLine(lines)
  expect(output.join('\n')).toMatch(/completed (optimizing|compiling).*<JSFunction spin.*TURBOFAN/i)
  const turns = Number(output.at(-1)?.split(' ')[1])
  expect(turns).toBeGreaterThan(1e6)
  expect(turns).toBeLessThan(5e9)
})

// What a guard relies on: it checks, does its work, and checks again.
test.each(['generation', 'stamp'])(
  'two checks of %s() with optimized work between them see a change',
  async (check) => {
    const lines = runScript(
      `function work(turns) {
      let changes = 0, x = turns
      for (let turn = 0; turn < turns; turn++) {
        const before = page.${check}()
        for (let k = 0; k < 30; k++) x = Math.imul(x, 1664525) + 1013904223 | 0
        if (page.${check}() !== before) changes++
      }
      return changes + (x === 1 ? 0.5 : 0)
    }
    for (let i = 0; i < 200; i++) work(1e4)
    console.log('optimized')
    let changes = 0
    for (const end = Date.now() + 20_000; changes < 10 && Date.now() < end; ) changes += work(1e4)
    console.log(changes >= 10)`,
    )
    expect(await nextLine(lines)).toBe('optimized')
    const result = nextLine(lines)
    let isOver = false
    result.finally(() => {
      isOver = true
    })
    for (let generation = 1; !isOver; generation++) {
      writer.publish({ generation, id: generation.toString(16).padStart(32, '0') })
      if (generation % 1000 === 0) await new Promise(setImmediate)
    }
    expect(await result).toBe('true')
  },
)

test('every worker maps the page for itself', async () => {
  const source = `const { workerData, parentPort } = require('node:worker_threads')
    require(workerData.tsx)
    const page = require(workerData.pageModule).openPage(workerData.path)
    parentPort.postMessage(page.how)
    while (page.generation() === 0);
    parentPort.postMessage(page.read().id)`
  const workerData = { tsx: require.resolve('tsx/cjs'), pageModule: fileURLToPath(pageUrl), path }
  const workers = [1, 2].map(() => new Worker(source, { eval: true, workerData }))
  const messages = workers.map((worker) => {
    const got: string[] = []
    return new Promise<string[]>((resolve) => {
      worker.on('message', (message) => got.push(message) === 1 && publishWhenAllRun())
      worker.on('exit', () => resolve(got))
    })
  })
  let running = 0
  const publishWhenAllRun = (): void => {
    if (++running === workers.length) writer.publish({ generation: 1, id: secondId })
  }
  const patience = setTimeout(() => workers.forEach((worker) => void worker.terminate()), 20_000)
  const got = await Promise.all(messages)
  clearTimeout(patience)
  expect(got).toEqual([
    ['mapped', secondId],
    ['mapped', secondId],
  ])
})

describe('the memory itself', () => {
  test('is not reachable from the reader or the module, by any property', () => {
    using page = openPage(path, { native })
    const pages: PageReader[] = [page]
    expect(findMemory({ pages, pageModule })).toEqual([])
    // The search does find what there is to be found.
    expect(
      findMemory({
        hidden: Object.create({
          get deep() {
            return [new Uint32Array(1)]
          },
        }),
      }),
    ).not.toEqual([])
  })

  test('is not in its printed form, a copy or an error', () => {
    using page = openPage(path, { native })
    const printed = inspect(page, { showHidden: true, depth: Number.POSITIVE_INFINITY, getters: true })
    expect(printed).not.toMatch(/Array/)
    expect(() => structuredClone(page)).toThrow()
    expect(() => serialize(page)).toThrow()
    using stuck = openPage(writableCopy(1), { native })
    try {
      stuck.read()
    } catch (error) {
      expect(findMemory({ error })).toEqual([])
    }
  })

  test('is not handed to an Atomics.load that was replaced', () => {
    using page = openPage(path, { native })
    const { load } = Atomics
    const leaked: unknown[] = []
    Atomics.load = ((...args: unknown[]) => leaked.push(args)) as never
    page.read()
    Atomics.load = load
    expect(leaked).toEqual([])
  })

  test('the reader cannot be changed', () => {
    using page = openPage(path, { native })
    expect(Object.isFrozen(page)).toBe(true)
  })
})

/** Paths to every buffer and view that can be reached by properties, symbols, accessors and prototypes. */
function findMemory(root: object): string[] {
  const builtIn = new Set<unknown>([Object.prototype, Function.prototype, Error.prototype, Array.prototype])
  const seen = new Set<unknown>()
  const found: string[] = []
  const visit = (value: unknown, where: string): void => {
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return
    if (seen.has(value) || builtIn.has(value)) return
    seen.add(value)
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) found.push(where)
    visit(Object.getPrototypeOf(value), `${where}.__proto__`)
    for (const key of Reflect.ownKeys(value)) {
      const property = Object.getOwnPropertyDescriptor(value, key)
      try {
        visit(property?.value ?? property?.get?.call(value), `${where}.${String(key)}`)
      } catch {
        // A getter that works on other objects only.
      }
    }
  }
  visit(root, 'root')
  return found
}
