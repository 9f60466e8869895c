import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { loadNative } from 'snapsafe/native'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { lacking } from '../../../../test/support/needs.ts'
import { FdStore } from './fd-store.ts'

const { addon } = loadNative()
if (!addon) throw new Error('these tests need the addon: npm run build')
const lackPython = lacking('python3')
const needing = lackPython ? ` (${lackPython})` : ''
/** More than a socket takes for a process that does not read. */
const tooMany = Number(readFileSync('/proc/sys/net/unix/max_dgram_qlen', 'utf8')) + 20

/** Begins to read when it is told to; prints each message as JSON, with the number of descriptors that came along. */
const receiver = `
import json, os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
sys.stdin.readline()
while True:
  data, fds, _, _ = socket.recv_fds(s, 4096, 8)
  for fd in fds: os.close(fd)
  print(json.dumps([data.decode(), len(fds)]), flush=True)
`

let folder: string
let fd: number
let warnings: string[]
let child: ChildProcess | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'snapsafe-fd-store-'))
  fd = openSync('/dev/null', 'r')
  warnings = []
  child = undefined
})
afterEach(async () => {
  closeSync(fd)
  if (child && child.exitCode === null) {
    child.kill('SIGKILL')
    await once(child, 'close')
  }
  rmSync(folder, { recursive: true })
})

function open(size: string | undefined, stored: { id: string; fd: number }[] = []): FdStore {
  const env = { NOTIFY_SOCKET: join(folder, 'notify'), ...(size && { FDSTORE: size }) }
  return new FdStore({ addon: addon as never, env, stored, warn: (message) => warnings.push(message) })
}

describe.skipIf(lackPython)(`the descriptor store${needing}`, () => {
  /** Lines of the service manager, which reads from the moment that `read` is called. */
  async function listen(): Promise<{ read(): void; lines: AsyncIterator<string> }> {
    const process = spawn('python3', ['-c', receiver, join(folder, 'notify')], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    child = process
    const reader: Interface = createInterface({ input: process.stdout })
    const lines = reader[Symbol.asyncIterator]()
    expect((await lines.next()).value).toBe('bound')
    return { lines, read: () => process.stdin.write('\n') }
  }

  const next = async (lines: AsyncIterator<string>) => JSON.parse((await lines.next()).value)

  it('gets descriptors by name, each once, and is told what to drop', async () => {
    const { read, lines } = await listen()
    read()
    const store = open('10', [{ id: '1', fd: 3 }])
    store.put('1', () => fd)
    store.put('2', () => fd)
    store.put('2', () => fd)
    expect([store.has('1'), store.has('2'), store.has('3')]).toEqual([true, true, false])
    store.remove('1')
    store.remove('1')
    store.remove('3')
    store.put('4', () => fd)
    expect(await next(lines)).toEqual(['FDSTORE=1\nFDNAME=watch-2', 1])
    expect(await next(lines)).toEqual(['FDSTOREREMOVE=1\nFDNAME=watch-1', 0])
    expect(await next(lines)).toEqual(['FDSTORE=1\nFDNAME=watch-4', 1])
    expect(warnings).toEqual([])
  })

  it('that is busy gets everything in order when it reads again, but what is over by then', async () => {
    const { read, lines } = await listen()
    const store = open('10000')
    for (let id = 1; id <= tooMany; id++) store.put(String(id), () => (id === tooMany - 1 ? undefined : fd))
    expect([store.has('1'), store.has(String(tooMany))]).toEqual([true, false])
    store.remove(String(tooMany - 2))
    store.remove('1')
    read()
    for (let id = 1; id <= tooMany; id++) {
      if (id === tooMany - 1 || id === tooMany - 2) continue
      expect(await next(lines)).toEqual([`FDSTORE=1\nFDNAME=watch-${id}`, 1])
    }
    expect(await next(lines)).toEqual(['FDSTOREREMOVE=1\nFDNAME=watch-1', 0])
    expect(store.has(String(tooMany))).toBe(true)
    expect(store.has(String(tooMany - 1))).toBe(false)
    expect(warnings).toEqual([])
  })

  it('is left as it is once it is closed', async () => {
    const { read, lines } = await listen()
    const store = open('10')
    store.put('1', () => fd)
    store.close()
    store.remove('1')
    store.put('2', () => fd)
    expect([store.has('1'), store.has('2')]).toEqual([true, false])
    open('10').put('3', () => fd)
    read()
    expect(await next(lines)).toEqual(['FDSTORE=1\nFDNAME=watch-1', 1])
    expect(await next(lines)).toEqual(['FDSTORE=1\nFDNAME=watch-3', 1])
  })
})

describe('without a descriptor store', () => {
  it('nothing is kept, and nothing said', () => {
    const store = open(undefined)
    store.put('1', () => fd)
    store.remove('1')
    expect(store.has('1')).toBe(false)
    expect(warnings).toEqual([])
  })

  it('that can be reached, nothing is kept, and it is said once', () => {
    const store = open('10')
    store.put('1', () => fd)
    store.put('2', () => fd)
    expect([store.has('1'), store.has('2')]).toEqual([false, false])
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(
      /cannot keep a connection in the service manager's descriptor store: .*ENOENT/,
    )
  })
})
