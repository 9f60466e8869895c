import { spawn, spawnSync } from 'node:child_process'
import dgram from 'node:dgram'
import { once } from 'node:events'
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay, setImmediate } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeEach, expect, test, vi } from 'vitest'
import { loadNative, type NativeAddon } from './native.ts'

vi.setConfig({ testTimeout: 30_000 })
const loaded = loadNative()
if (loaded.addon === undefined)
  throw new Error(`${loaded.reason}; these tests need it: node tools/build-addon.mjs`)
const native: NativeAddon = loaded.addon
const { cache } = createRequire(import.meta.url)
const addonPath = Object.keys(cache).find((path) => path.endsWith('/snapsafe.node'))
const directory = mkdtempSync(join(tmpdir(), 'snapsafe-poll-'))
const byte = new Uint8Array(1)
let fifo = ''
let count = 0
afterAll(() => rmSync(directory, { recursive: true }))
beforeEach(() => {
  fifo = join(directory, `fifo-${count++}`)
  spawnSync('mkfifo', [fifo])
})

function openFifo(flags = constants.O_RDWR): number {
  return openSync(fifo, flags | constants.O_NONBLOCK)
}

/** Runs a script with `addon`, and `fd` as a FIFO with one byte in it, in a process of its own. */
function runScript(script: string): { status: number | null; out: string } {
  const fd = openFifo()
  writeSync(fd, byte)
  const source = `const addon = require(${JSON.stringify(addonPath)}); const fd = 3\n${script}`
  const stdio = ['ignore', 'pipe', 'pipe', fd] as const
  const result = spawnSync(process.execPath, ['-e', source], {
    encoding: 'utf8',
    stdio: [...stdio],
    timeout: 10_000,
  })
  closeSync(fd)
  return { status: result.status, out: result.stdout + result.stderr }
}

/** Lets the event loop look at its descriptors a few times: what is to be called is called by then. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await setImmediate()
}

test('the callback comes again until what is there was read, and never after pollStop', async () => {
  const fd = openFifo()
  let calls = 0
  const poller = native.pollReadable(fd, (error) => {
    expect(error).toBeUndefined()
    if (++calls === 3) readSync(fd, byte)
  })
  await turns()
  expect(calls).toBe(0)
  writeSync(fd, byte)
  await vi.waitUntil(() => calls === 3, { timeout: 10_000 })
  await turns()
  expect(calls).toBe(3)
  writeSync(fd, byte)
  native.pollStop(poller)
  native.pollStop(poller)
  native.pollUnref(poller)
  await turns()
  expect(calls).toBe(3)
  closeSync(fd)
})

test('it may be stopped, and another one started, from within its callback', async () => {
  const fd = openFifo()
  writeSync(fd, byte)
  const calls: string[] = []
  await new Promise<void>((resolve) => {
    const first = native.pollReadable(fd, () => {
      calls.push('first')
      native.pollStop(first)
      const second = native.pollReadable(fd, () => {
        calls.push('second')
        native.pollStop(second)
        resolve()
      })
    })
  })
  expect(calls).toEqual(['first', 'second'])
  closeSync(fd)
})

test('a hangup counts as readable', async () => {
  const fd = openFifo(constants.O_RDONLY)
  closeSync(openFifo(constants.O_WRONLY))
  const error = await new Promise((resolve) => {
    const poller = native.pollReadable(fd, (code) => {
      native.pollStop(poller)
      resolve(code)
    })
  })
  expect(error).toBeUndefined()
  expect(readSync(fd, byte)).toBe(0)
  closeSync(fd)
})

test('a descriptor in error is reported once, as EBADF', async () => {
  const reading = openFifo(constants.O_RDONLY)
  const writing = openFifo(constants.O_WRONLY)
  const errors: (string | undefined)[] = []
  const poller = native.pollReadable(writing, (code) => errors.push(code))
  closeSync(reading)
  await vi.waitUntil(() => errors.length > 0, { timeout: 10_000 })
  await turns()
  expect(errors).toEqual(['EBADF'])
  native.pollStop(poller)
  closeSync(writing)
})

test('the pending error of a socket is reported by its name, and polling goes on', async () => {
  const closed = dgram.createSocket('udp4').bind(0, '127.0.0.1')
  await once(closed, 'listening')
  const { port } = closed.address() as AddressInfo
  closed.close()
  const socket = dgram.createSocket('udp4')
  socket.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const state = Object.getOwnPropertySymbols(socket).find((symbol) => symbol.description === 'state symbol')
  const { fd } =
    (socket as unknown as Record<symbol, { handle: { fd: number } }>)[state as symbol]?.handle ?? {}
  const script = `const addon = require(${JSON.stringify(addonPath)}); const errors = []
    const send = () => require('node:fs').writeSync(3, 'x')
    const poller = addon.pollReadable(3, (code) => {
      if (errors.push(code) < 3) return send()
      addon.pollStop(poller)
      console.log(errors.join())
    })
    send()`
  const child = spawn(process.execPath, ['-e', script], {
    stdio: ['ignore', 'pipe', 'inherit', fd as number],
  })
  // The child has its own; here the errors would come as well.
  socket.close()
  const [out] = await once(child.stdout as NonNullable<typeof child.stdout>, 'data')
  expect(String(out).trim()).toBe('ECONNREFUSED,ECONNREFUSED,ECONNREFUSED')
})

test('what cannot be polled is refused by name', () => {
  const file = openSync(addonPath ?? '', 'r')
  expect(() => native.pollReadable(file, () => {})).toThrow(expect.objectContaining({ code: 'EPERM' }))
  closeSync(file)
  const fd = openFifo()
  expect(() => native.pollReadable(fd, 'no' as never)).toThrow(
    expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
  )
  const poller = native.pollReadable(fd, () => {})
  expect(() => native.pollReadable(fd, () => {})).toThrow(expect.objectContaining({ code: 'EEXIST' }))
  native.pollStop(poller)
  closeSync(fd)
})

test('microtasks and nextTick run after each callback', () => {
  const { out } = runScript(`
    let calls = 0
    const poller = addon.pollReadable(fd, () => {
      console.log('callback')
      process.nextTick(() => console.log('tick'))
      Promise.resolve().then(() => console.log('microtask'))
      if (++calls === 2) addon.pollStop(poller)
    })`)
  expect(out.trim().split('\n')).toEqual(['callback', 'tick', 'microtask', 'callback', 'tick', 'microtask'])
})

test('an exception in the callback is an uncaughtException, which may be handled', () => {
  const throwing = `const poller = addon.pollReadable(fd, () => { addon.pollStop(poller); throw new Error('boom') })`
  expect(runScript(throwing)).toMatchObject({ status: 1, out: expect.stringContaining('Error: boom') })
  const handled = runScript(
    `process.on('uncaughtException', (e) => console.log('handled', e.message)); ${throwing}`,
  )
  expect(handled).toEqual({ status: 0, out: 'handled boom\n' })
})

test('a poller keeps the process alive, even if nobody holds it, unless it is unreferenced', () => {
  const alive = `addon.pollReadable(fd, () => { console.log('called'); process.exit() })`
  expect(runScript(`require('node:fs').readSync(fd, Buffer.alloc(1)); addon.pollUnref(${alive})`).out).toBe(
    '',
  )
  expect(runScript(alive).out).toBe('called\n')
})

test('process.exit with a running poller is clean', () => {
  const { status, out } = runScript(
    `addon.pollReadable(fd, () => process.exit(7)); setTimeout(() => {}, 1000)`,
  )
  expect({ status, out }).toEqual({ status: 7, out: '' })
})

test('stopped pollers and their callbacks are collected', () => {
  const { out } = runScript(`
    require('node:v8').setFlagsFromString('--expose-gc')
    const gc = require('node:vm').runInNewContext('gc')
    let collected = 0
    const registry = new FinalizationRegistry(() => collected++)
    require('node:fs').readSync(fd, Buffer.alloc(1))
    ;(async () => {
      for (let i = 0; i < 200; i++) {
        const callback = () => i
        const poller = addon.pollReadable(fd, callback)
        registry.register(poller); registry.register(callback)
        addon.pollStop(poller)
      }
      for (let i = 0; i < 20; i++) { gc(); await new Promise(setImmediate) }
      console.log(collected > 390)
    })()`)
  expect(out).toBe('true\n')
})

test('workers are terminated in the midst of callbacks, and their handles are closed', async () => {
  const fd = openFifo()
  writeSync(fd, byte)
  const source = `
    const { workerData, parentPort } = require('node:worker_threads')
    const addon = require(workerData.addonPath)
    let calls = 0
    globalThis.poller = addon.pollReadable(workerData.fd, () => {
      if (++calls === 10) parentPort.postMessage('busy')
      if (workerData.spins) while (calls > 20);
      if (workerData.ends && calls > 20) process.exit()
    })`
  for (let round = 0; round < 12; round++) {
    const workerData = { addonPath, fd, spins: round % 3 === 1, ends: round % 3 === 2 }
    const worker = new Worker(source, { eval: true, workerData })
    const exit = once(worker, 'exit')
    await once(worker, 'message')
    if (!workerData.ends) {
      await delay(round)
      worker.terminate()
    }
    await exit
  }
  closeSync(fd)
})
