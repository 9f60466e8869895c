import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { loadNative, missingWithoutAddon, type NativeAddon, type NativePageWriter } from './native.ts'

const require = createRequire(import.meta.url)
vi.setConfig({ testTimeout: 30_000 })
const loaded = loadNative()
if (loaded.addon === undefined)
  throw new Error(`${loaded.reason}; these tests need it: node tools/build-addon.mjs`)
const native: NativeAddon = loaded.addon
const addonPath = Object.keys(require.cache).find((path) => path.endsWith('/snapsafe.node'))
const tsx = pathToFileURL(require.resolve('tsx')).href
const directory = mkdtempSync(join(tmpdir(), 'snapsafe-native-'))
const pageFile = join(directory, 'page')
writeFileSync(pageFile, Buffer.alloc(4096))
afterAll(() => rmSync(directory, { recursive: true }))

/** Runs a script with the addon in `addon`, in a process of its own; it prints what it found. */
function runScript(
  script: string,
  flags: string[] = [],
): { status: number | null; signal: string | null; out: string } {
  const source = `const addon = require(${JSON.stringify(addonPath)}); const fs = require('node:fs');\n${script}`
  const result = spawnSync(process.execPath, [...flags, '-e', source], { encoding: 'utf8', timeout: 30_000 })
  return { status: result.status, signal: result.signal, out: result.stdout + result.stderr }
}

/** Asks `loadNative` in a process of its own why there is no addon. */
function reasonWith(env: NodeJS.ProcessEnv, flags: string[]): string {
  const module = new URL('./native.ts', import.meta.url).href
  const script = `import(${JSON.stringify(module)}).then((m) => console.log(m.loadNative().reason))`
  const options = { encoding: 'utf8', env: { ...process.env, ...env }, timeout: 30_000 } as const
  return spawnSync(process.execPath, [...flags, '--import', tsx, '-e', script], options).stdout.trim()
}

function failure(action: () => unknown): { code?: string; syscall?: string } {
  try {
    action()
  } catch (error) {
    return error as { code?: string; syscall?: string }
  }
  throw new Error('no exception')
}

describe('loading', () => {
  test('an addon is loaded once', () => {
    expect(loadNative()).toBe(loaded)
  })

  test('SNAPSAFE_NO_ADDON=1 is a reason, and what is missing is listed', () => {
    expect(reasonWith({ SNAPSAFE_NO_ADDON: '1' }, [])).toContain('SNAPSAFE_NO_ADDON=1')
    expect(missingWithoutAddon.length).toBeGreaterThan(0)
  })

  test('a permission model that forbids addons is a reason', () => {
    const flag = process.allowedNodeEnvironmentFlags.has('--permission')
      ? '--permission'
      : '--experimental-permission'
    const flags = [flag, '--allow-fs-read=*', '--allow-fs-write=*', '--allow-worker', '--allow-child-process']
    expect(reasonWith({}, flags)).toContain('--allow-addons')
  })
})

describe('wrong arguments', () => {
  const wrongFds = [undefined, null, 'x', {}, [], 1n, Symbol('fd'), () => {}, true]
  const rangeFds = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31]
  const bytes = new Uint8Array(8)
  const calls: Record<string, (fd: never) => unknown> = {
    mapPage: (fd) => native.mapPage(fd),
    openPageWriter: (fd) => native.openPageWriter(fd),
    peerCredentials: (fd) => native.peerCredentials(fd),
    peerPidfd: (fd) => native.peerPidfd(fd),
    pidfdSendSignal: (fd) => native.pidfdSendSignal(fd, 0),
    pidfdGetFd: (fd) => native.pidfdGetFd(fd, 0),
    memfdSeals: (fd) => native.memfdSeals(fd),
    tryLock: (fd) => native.tryLock(fd),
    pollReadable: (fd) => native.pollReadable(fd, () => {}),
    addKernelEntropy: (fd) => native.addKernelEntropy(fd, bytes, 0),
    reseedKernelRandom: (fd) => native.reseedKernelRandom(fd),
  }
  const numberCalls: typeof calls = {
    pidfdOpen: (pid) => native.pidfdOpen(pid),
    createSecretMemory: (length) => native.createSecretMemory(length),
    cpuRandom: (length) => native.cpuRandom(length),
  }
  const allCalls = { ...calls, ...numberCalls }

  test.each(Object.keys(allCalls))('%s throws for a number that is none, or none that can be', (name) => {
    for (const value of wrongFds) {
      expect(failure(() => allCalls[name]?.(value as never)).code, String(value)).toBe('ERR_INVALID_ARG_TYPE')
    }
    for (const value of rangeFds) {
      expect(failure(() => allCalls[name]?.(value as never)).code, String(value)).toBe('ERR_OUT_OF_RANGE')
    }
  })

  test.each(Object.keys(calls))('%s says EBADF for a closed descriptor', (name) => {
    const fd = openSync(pageFile, 'r')
    closeSync(fd)
    const error = failure(() => calls[name]?.(fd as never))
    expect(error.code).toBe('EBADF')
    expect(error.syscall).toBeTypeOf('string')
  })

  test('objects that are not ours, or are of another kind, are refused', () => {
    const fd = openSync(pageFile, 'r+')
    const writer = native.openPageWriter(fd)
    closeSync(fd)
    const strangers = [
      undefined,
      null,
      1,
      'x',
      {},
      Object.create(writer),
      new Proxy(writer, {}),
      bytes,
      () => {},
    ]
    for (const value of strangers as never[]) {
      for (const call of [native.pageLoad32, native.wakeFutex, native.closePageWriter, native.pageStore32]) {
        expect(failure(() => (call as (...a: unknown[]) => void)(value, 0, 0)).code).toBe(
          'ERR_INVALID_ARG_TYPE',
        )
      }
      expect(failure(() => native.pageStoreBytes(value, 0, bytes)).code).toBe('ERR_INVALID_ARG_TYPE')
      expect(failure(() => native.pollStop(value)).code).toBe('ERR_INVALID_ARG_TYPE')
      expect(failure(() => native.pollUnref(value)).code).toBe('ERR_INVALID_ARG_TYPE')
    }
    expect(failure(() => native.pollStop(writer as never)).code).toBe('ERR_INVALID_ARG_TYPE')
    native.closePageWriter(writer)
  })

  test('offsets, values and lengths outside of the page are refused', () => {
    const fd = openSync(pageFile, 'r+')
    const writer = native.openPageWriter(fd)
    closeSync(fd)
    for (const offset of [-4, 1, 2, 4093, 4096, 2 ** 32, 2 ** 32 - 4, Number.NaN]) {
      expect(failure(() => native.pageLoad32(writer, offset)).code).toBe('ERR_OUT_OF_RANGE')
      expect(failure(() => native.pageStore32(writer, offset, 1)).code).toBe('ERR_OUT_OF_RANGE')
      expect(failure(() => native.wakeFutex(writer, offset)).code).toBe('ERR_OUT_OF_RANGE')
    }
    for (const value of [-1, 2 ** 32, 0.5]) {
      expect(failure(() => native.pageStore32(writer, 0, value)).code).toBe('ERR_OUT_OF_RANGE')
    }
    expect(failure(() => native.pageStoreBytes(writer, 4089, bytes)).code).toBe('ERR_OUT_OF_RANGE')
    expect(failure(() => native.pageStoreBytes(writer, 0, new Uint8Array(4097))).code).toBe(
      'ERR_OUT_OF_RANGE',
    )
    expect(failure(() => native.pageStoreBytes(writer, 0, new Uint16Array(2) as never)).code).toBe(
      'ERR_INVALID_ARG_TYPE',
    )
    const detached = new Uint8Array(8)
    structuredClone(detached.buffer, { transfer: [detached.buffer] })
    native.pageStoreBytes(writer, 0, detached)
    native.closePageWriter(writer)
  })
})

describe('the page', () => {
  test('stores are seen through a mapping for reading, and through the file', () => {
    const fd = openSync(pageFile, 'r+')
    const words = new Uint32Array(native.mapPage(fd))
    const writer: NativePageWriter = native.openPageWriter(fd)
    closeSync(fd)
    native.pageStore32(writer, 4, 0xffff_ffff)
    native.pageStoreBytes(writer, 8, Uint8Array.of(1, 0, 0, 0))
    expect([words[1], words[2], native.pageLoad32(writer, 4)]).toEqual([0xffff_ffff, 1, 0xffff_ffff])
    expect(native.wakeFutex(writer, 0)).toBe(0)
    native.closePageWriter(writer)
    native.closePageWriter(writer)
    expect(failure(() => native.pageLoad32(writer, 0)).code).toBe('EBADF')
    expect(words[1]).toBe(0xffff_ffff)
  })

  test('short files, directories and devices are not mapped', () => {
    const short = join(directory, 'short')
    writeFileSync(short, Buffer.alloc(4095))
    for (const path of [short, directory, '/dev/zero']) {
      const fd = openSync(path, 'r')
      expect(
        failure(() => native.mapPage(fd)),
        path,
      ).toMatchObject({ code: 'EINVAL', syscall: 'mmap' })
      expect(
        failure(() => native.openPageWriter(fd)),
        path,
      ).toMatchObject({ code: 'EINVAL', syscall: 'mmap' })
      closeSync(fd)
    }
  })

  test('a descriptor that is open for reading only gives no writer', () => {
    const fd = openSync(pageFile, 'r')
    expect(failure(() => native.openPageWriter(fd))).toMatchObject({ code: 'EACCES', syscall: 'mmap' })
    closeSync(fd)
  })

  test('mappings go when their buffers are collected', () => {
    const { out } = runScript(
      `const fd = fs.openSync(${JSON.stringify(pageFile)}, 'r+')
      const count = () => fs.readFileSync('/proc/self/maps', 'utf8').split(${JSON.stringify(pageFile)}).length - 1
      for (let i = 0; i < 500; i++) { addon.mapPage(fd); addon.openPageWriter(fd) }
      const all = count()
      ;(async () => {
        for (let i = 0; i < 20; i++) { globalThis.gc(); await new Promise(setImmediate) }
        console.log(all > 100, count() <= 1)
      })()`,
      ['--expose-gc'],
    )
    expect(out).toBe('true true\n')
  })
})

describe('other calls', () => {
  test('peerCredentials tells who connected to a unix socket', async () => {
    const path = join(directory, 'socket')
    const server = net.createServer().listen(path)
    await once(server, 'listening')
    const client = net.connect(path)
    const [accepted] = (await once(server, 'connection')) as [net.Socket]
    const { fd } = (accepted as unknown as { _handle: { fd: number } })._handle
    const { groups, ...peer } = native.peerCredentials(fd)
    const gid = process.getgid?.() ?? -1
    expect(peer).toEqual({ pid: process.pid, uid: process.getuid?.(), gid })
    expect(new Set([gid, ...groups])).toEqual(new Set([gid, ...(process.getgroups?.() ?? [])]))
    client.destroy()
    accepted.destroy()
    server.close()
  })

  test('peerCredentials says ENOTCONN for a socket without a peer that is known, ENOTSOCK for a file', async () => {
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    expect((server.address() as AddressInfo).port).toBeGreaterThan(0)
    const { fd } = (server as unknown as { _handle: { fd: number } })._handle
    expect(failure(() => native.peerCredentials(fd)).code).toBe('ENOTCONN')
    server.close()
    const file = openSync(pageFile, 'r')
    expect(failure(() => native.peerCredentials(file))).toMatchObject({
      code: 'ENOTSOCK',
      syscall: 'getsockopt',
    })
    closeSync(file)
  })

  test("reseedOpenSSL reseeds this process's generator", () => {
    const before = native.openSSLReseedCount() ?? 0
    expect(native.reseedOpenSSL()).toBe(true)
    expect(native.openSSLReseedCount()).toBeGreaterThan(before)
  })

  // The kernel's generator itself is for the tests in a guest: here only what is not one.
  test('the calls for the kernel generator are refused by any other file', () => {
    const fd = openSync('/dev/null', constants.O_RDWR)
    const bytes = new Uint8Array(512)
    expect(failure(() => native.addKernelEntropy(fd, bytes, 0)).code).toBe('ENOTTY')
    expect(failure(() => native.reseedKernelRandom(fd)).code).toBe('ENOTTY')
    expect(failure(() => native.addKernelEntropy(fd, new Uint8Array(0), 0)).code).toBe('ERR_OUT_OF_RANGE')
    expect(failure(() => native.addKernelEntropy(fd, new Uint8Array(513), 0)).code).toBe('ERR_OUT_OF_RANGE')
    expect(failure(() => native.addKernelEntropy(fd, new Uint8Array(1), 9)).code).toBe('ERR_OUT_OF_RANGE')
    closeSync(fd)
  })

  test('cpuRandom gives as many bytes as were asked for, never the same, or says that there are none', () => {
    const first = native.cpuRandom(37)
    if (first === undefined) return
    expect(first).toHaveLength(37)
    expect(native.cpuRandom(37)).not.toEqual(first)
    expect(failure(() => native.cpuRandom(0)).code).toBe('ERR_OUT_OF_RANGE')
    expect(failure(() => native.cpuRandom(4097)).code).toBe('ERR_OUT_OF_RANGE')
  })

  test('bootTimeNs is the clock of /proc/uptime', () => {
    const uptimeS = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0])
    expect(Math.abs(Number(native.bootTimeNs()) / 1e9 - uptimeS)).toBeLessThan(1)
  })
})

test('worker threads load the addon, map for themselves and can be terminated at any time', async () => {
  const source = `
    const { workerData, parentPort } = require('node:worker_threads')
    const addon = require(workerData.addonPath)
    const fd = require('node:fs').openSync(workerData.pageFile, 'r+')
    globalThis.kept = [addon.mapPage(fd), addon.openPageWriter(fd), addon.reseedOpenSSL()]
    parentPort.postMessage('ready')
    setInterval(() => {}, 1000)`
  for (let round = 0; round < 5; round++) {
    const workers = Array.from(
      { length: 4 },
      () => new Worker(source, { eval: true, workerData: { addonPath, pageFile } }),
    )
    await Promise.all(workers.map((worker) => once(worker, 'message')))
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
})
