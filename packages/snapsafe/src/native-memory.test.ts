import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, ftruncateSync, openSync, readFileSync, readSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import { afterEach, describe, expect, it } from 'vitest'
import { lacking, nobody } from '../../../test/support/needs.ts'
import { loadNative, type NativeAddon, type SecretMemory } from './native.ts'

const loaded = loadNative()
if (loaded.addon === undefined)
  throw new Error(`${loaded.reason}; these tests need it: node tools/build-addon.mjs`)
const native: NativeAddon = loaded.addon
const { cache } = createRequire(import.meta.url)
const addonPath = Object.keys(cache).find((path) => path.endsWith('/snapsafe.node'))
const lackUsers = lacking('users')
const sealSeal = 1
const sealShrink = 2
const sealGrow = 4
const sealWrite = 8

const secrets: SecretMemory[] = []
const descriptors: number[] = []
afterEach(() => {
  for (const secret of secrets.splice(0)) native.closeSecretMemory(secret)
  for (const fd of descriptors.splice(0)) closeSync(fd)
})

function create(length: number): SecretMemory {
  const secret = native.createSecretMemory(length)
  secrets.push(secret)
  return secret
}

/** Opens the file once more. */
function reopen(fd: number, mode = 'r'): number {
  const other = openSync(`/proc/self/fd/${fd}`, mode)
  descriptors.push(other)
  return other
}

/** What the kernel says of the mapping of a memfd of ours: two letters for each property (proc(5), VmFlags). */
function flagsOfMapping(): string[] {
  const mappings = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
  const mapping = mappings.filter((text) => text.includes('/memfd:snapsafe')).at(-1)
  return (
    /^VmFlags: (.*)$/m
      .exec(mapping ?? '')?.[1]
      ?.trim()
      .split(' ') ?? []
  )
}

/** Runs a script with the addon in `addon`, in a process of its own; it prints what it found. */
function runScript(
  script: string,
  command: string[] = [],
  user: { uid?: number; gid?: number } = {},
): string {
  const source = `const addon = require(${JSON.stringify(addonPath)}); const fs = require('node:fs');\n${script}`
  const [program = '', ...args] = [...command, process.execPath, '--expose-gc', '-e', source]
  const { stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: 30_000,
    cwd: '/',
    ...user,
  })
  return stdout + stderr
}

describe('memory for secrets', () => {
  it('is a file of zeros, which others can overwrite, and which sees what is written to it', () => {
    const { fd, memory } = create(5000)
    const view = new Uint8Array(memory)
    expect(view).toEqual(new Uint8Array(5000))
    view[4999] = 7
    const read = Buffer.alloc(6000)
    expect(readSync(fd, read, 0, read.length, 0)).toBe(5000)
    expect(read[4999]).toBe(7)
    writeSync(fd, Buffer.alloc(5000), 0, 5000, 0)
    expect(view[4999]).toBe(0)
  })

  it('keeps its size, can be given no other seal, and is not inherited', () => {
    const { fd } = create(4096)
    const found = native.memfdSeals(fd)
    const wanted = sealSeal | sealShrink | sealGrow
    expect(found).toMatchObject({ writable: true, size: 4096 })
    expect((found?.seals ?? 0) & (wanted | sealWrite)).toBe(wanted)
    for (const size of [0, 4095, 4097]) expect(() => ftruncateSync(fd, size)).toThrow('EPERM')
    expect(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')).toMatch(/^flags:\s+02/m)
  })

  it('is locked, and in no core dump and no forked child', () => {
    const { locked } = create(4096)
    const flags = flagsOfMapping()
    expect(flags).toEqual(expect.arrayContaining(['dd', 'dc']))
    expect(flags.includes('lo')).toBe(locked)
  })

  it.skipIf(lackUsers)(
    `says that it is not locked where that is not allowed${lackUsers ? ` (${lackUsers})` : ''}`,
    () => {
      const script = `const { locked, memory } = addon.createSecretMemory(4096)
      console.log(locked, memory.byteLength)`
      const user = { uid: nobody, gid: nobody }
      expect(runScript(script, ['prlimit', '--memlock=0:0'], user)).toBe('false 4096\n')
      expect(runScript(script, ['prlimit', '--memlock=65536:65536'], user)).toBe('true 4096\n')
    },
  )

  it('has a length that is sensible', () => {
    expect(create(16 * 2 ** 20).memory.byteLength).toBe(16 * 2 ** 20)
    for (const length of [0, 16 * 2 ** 20 + 1, 2 ** 32]) {
      expect(() => native.createSecretMemory(length)).toThrow(
        expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }),
      )
    }
  })

  it('says by its name what the system has no more of', () => {
    const script = `const kept = []
      try { for (;;) kept.push(addon.createSecretMemory(1)) } catch ({ code, syscall }) { console.log(code, syscall) }`
    expect(runScript(script, ['prlimit', '--nofile=64:64'])).toBe('EMFILE memfd_create\n')
  })

  it('closes its file when that is wanted, and keeps its memory', () => {
    const secret = create(4096)
    const { fd, memory } = secret
    new Uint8Array(memory)[0] = 1
    native.closeSecretMemory(secret)
    expect(() => native.memfdSeals(fd)).toThrow(expect.objectContaining({ code: 'EBADF' }))
    expect(new Uint8Array(memory)[0]).toBe(1)
    // Somebody else has the number now.
    const other = openSync('/dev/null', 'r')
    descriptors.push(other)
    expect(other).toBe(fd)
    native.closeSecretMemory(secret)
    expect(native.memfdSeals(other)).toBeUndefined()
    for (const stranger of [undefined, null, 1, {}, { fd: other }, new Proxy(secret, {})]) {
      expect(() => native.closeSecretMemory(stranger as never)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
      )
    }
  })

  it('is overwritten and unmapped when it is collected, and its file is closed', () => {
    const out = runScript(`
      const count = () => fs.readFileSync('/proc/self/maps', 'utf8').split('/memfd:snapsafe').length - 1
      const others = []
      const numbers = []
      for (let i = 0; i < 100; i++) {
        const { fd, memory } = addon.createSecretMemory(8192)
        new Uint8Array(memory).fill(0xff)
        numbers.push(fd)
        others.push(fs.openSync('/proc/self/fd/' + fd, 'r'))
      }
      const all = count()
      ;(async () => {
        for (let i = 0; i < 20; i++) { gc(); await new Promise(setImmediate) }
        const left = others.filter((fd) => {
          const bytes = Buffer.alloc(8192, 1)
          fs.readSync(fd, bytes, 0, 8192, 0)
          return bytes.some((byte) => byte !== 0)
        })
        const open = numbers.filter((fd) => fs.existsSync('/proc/self/fd/' + fd))
        console.log(all > 50, count() <= 1, left.length <= 1, open.length <= 1)
      })()`)
    expect(out).toBe('true true true true\n')
  })

  it('of a worker thread is overwritten when that is terminated, and its file is closed', async () => {
    const source = `
      const { workerData, parentPort } = require('node:worker_threads')
      globalThis.kept = require(workerData).createSecretMemory(4096)
      new Uint8Array(kept.memory).fill(0xff)
      parentPort.postMessage(kept.fd)
      setInterval(() => {}, 1000)`
    const worker = new Worker(source, { eval: true, workerData: addonPath })
    const [fd] = (await once(worker, 'message')) as [number]
    const other = reopen(fd)
    const bytes = Buffer.alloc(4096)
    readSync(other, bytes, 0, 4096, 0)
    expect(bytes).toEqual(Buffer.alloc(4096, 0xff))
    await worker.terminate()
    readSync(other, bytes, 0, 4096, 0)
    expect(bytes).toEqual(Buffer.alloc(4096))
    expect(() => native.memfdSeals(fd)).toThrow(expect.objectContaining({ code: 'EBADF' }))
  })
})

describe('the seals of a file', () => {
  it('say whether the descriptor is for writing', () => {
    const { fd } = create(64)
    for (const [mode, writable] of [
      ['r', false],
      ['r+', true],
      ['a', true],
    ] as const) {
      expect(native.memfdSeals(reopen(fd, mode)), mode).toMatchObject({ writable, size: 64 })
    }
  })

  it('are not there for what can have none', () => {
    for (const path of ['/dev/null', '/proc/self/status', '/']) {
      const fd = openSync(path, 'r')
      descriptors.push(fd)
      expect(native.memfdSeals(fd)).toBeUndefined()
    }
  })
})
