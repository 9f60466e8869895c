import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { closeSync, fchmodSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { loadNative, type NativeAddon, type SecretMemory } from 'snapsafe/native'
import { connectToDaemon } from 'snapsafe/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { before, type DaemonProcess, startDaemon } from '../support/daemon-process.ts'
import { eventually } from '../support/eventually.ts'
import { LibraryProgram, runProgram } from '../support/library-program.ts'
import { MemoryProgram } from '../support/memory-program.ts'
import { lacking, nobody } from '../support/needs.ts'
import { bump, stateOf } from '../support/test-watcher.ts'

const loaded = loadNative()
if (!loaded.addon) throw new Error(`${loaded.reason}; these tests need it: npm run build`)
const addon: NativeAddon = loaded.addon
const secret = 'correct horse battery staple'
const gone = { code: 'ERR_SNAPSAFE_MEMORY_WIPED', message: expect.stringContaining('overwritten') }
const replyDeadlineMs = 15_000

let daemon: DaemonProcess
let secrets: SecretMemory[]
beforeEach(async () => {
  secrets = []
  daemon = await startDaemon()
})
afterEach(async () => {
  for (const memory of secrets) addon.closeSecretMemory(memory)
  await daemon?.[Symbol.asyncDispose]()
})

/** Memory of the test's own process, full of ones. */
function ownMemory(length: number): { fd: number; bytes: Uint8Array } {
  const memory = addon.createSecretMemory(length)
  secrets.push(memory)
  return { fd: memory.fd, bytes: new Uint8Array(memory.memory).fill(1) }
}

describe('a secret in protected memory', () => {
  it('is overwritten by the daemon at a restore, and then cannot be used', async () => {
    await using program = new MemoryProgram(daemon)
    await program.hold(secret)
    expect(program.memory().includes(secret)).toBe(true)
    expect(await program.ask({ do: 'use', length: secret.length })).toEqual({ text: secret })
    // Whoever does nothing cannot have overwritten it.
    program.kill('SIGSTOP')
    await bump(daemon.socket)
    expect(program.memory().every((byte) => byte === 0)).toBe(true)
    program.kill('SIGCONT')
    expect(await program.ask({ do: 'use', length: secret.length })).toEqual(gone)
    expect(await program.ask({ do: 'look' })).toEqual({ state: 'wiped', protectedByDaemon: true })
  })

  it('can be made anew in each generation', async () => {
    await using program = new MemoryProgram(daemon)
    await program.hold('first')
    for (const text of ['second', 'third']) {
      await bump(daemon.socket)
      expect(await program.ask({ do: 'use', length: 5 })).toEqual(gone)
      expect(await program.ask({ do: 'write', text })).toMatchObject({ state: 'intact' })
      expect(await program.ask({ do: 'use', length: text.length })).toEqual({ text })
    }
  })

  it('is overwritten by the library where the restore came while there was no connection', async () => {
    await using program = new MemoryProgram(daemon)
    await program.hold(secret)
    program.kill('SIGSTOP')
    await daemon.restart()
    await bump(daemon.socket)
    expect(program.memory().includes(secret)).toBe(true)
    program.kill('SIGCONT')
    await eventually('it is overwritten', () => program.memory().every((byte) => byte === 0))
    expect(await program.ask({ do: 'use', length: 5 })).toEqual(gone)
  })

  it('is protected again by the next daemon', async () => {
    await using program = new MemoryProgram(daemon)
    await program.hold(secret)
    daemon.kill('SIGKILL')
    await daemon.ended()
    await daemon.restart()
    await eventually('it is protected', async () => (await program.ask({ do: 'look' })).protectedByDaemon)
    expect(await program.ask({ do: 'use', length: secret.length })).toEqual({ text: secret })
    program.kill('SIGSTOP')
    await bump(daemon.socket)
    expect(program.memory().every((byte) => byte === 0)).toBe(true)
    program.kill('SIGCONT')
  })

  it('is not kept in a program that has closed its memory', async () => {
    await using program = new MemoryProgram(daemon)
    await program.hold(secret)
    expect(await program.ask({ do: 'close' })).toEqual({ state: 'empty', protectedByDaemon: false })
    expect(await program.ask({ do: 'use', length: 5 })).toMatchObject({ code: 'ERR_SNAPSAFE_MEMORY_CLOSED' })
  })
})

describe('a program with protected memory', () => {
  it('ends when it has nothing else to do, whether or not there is a daemon', async () => {
    const source = `import { ProtectedMemory } from 'snapsafe'
      ProtectedMemory.create(32).write(Buffer.alloc(32, 1))
      const { registered } = ProtectedMemory.create(32)
      if (process.env.WAIT) await registered`
    const { runtimeDir } = daemon
    const clean = { code: 0, signal: null, stderr: '', said: [] }
    expect(await runProgram(source, { runtimeDir, env: { WAIT: '1' } })).toEqual(clean)
    const elsewhere = mkdtempSync(join(tmpdir(), 'snapsafe-empty-'))
    const none = source.replace('const { registered } =', '')
    expect(await runProgram(none, { runtimeDir: elsewhere })).toEqual(clean)
    rmSync(elsewhere, { recursive: true })
  })

  it('waits for a daemon to come where it waits for its registration', async () => {
    await daemon.stop()
    await using program = new LibraryProgram(
      `import { ProtectedMemory } from 'snapsafe'
      const memory = ProtectedMemory.create(32)
      memory.registered.then(() => say('registered'))
      while (!memory.problem) await new Promise((resolve) => setTimeout(resolve, 10))
      say(memory.problem.code)`,
      daemon,
    )
    expect(await program.next()).toBe('ERR_SNAPSAFE_VARLINK_CONNECT_FAILED')
    await daemon.restart()
    expect(await program.next()).toBe('registered')
    expect(await program.ended).toEqual({ code: 0, signal: null, stderr: '' })
  })

  it('may have it in a worker thread, which leaves nothing open when it ends', async () => {
    const { said, ...ended } = await runProgram(
      `import { ProtectedMemory } from 'snapsafe'
      import { readdirSync, readlinkSync } from 'node:fs'
      import { isMainThread, parentPort, Worker } from 'node:worker_threads'
      if (!isMainThread) {
        const [first, second] = [ProtectedMemory.create(32), ProtectedMemory.create(32)]
        first.write(Buffer.from('secret'))
        await Promise.all([first.registered, second.registered])
        second.close()
        parentPort.postMessage(first.use((secret) => Buffer.from(secret.subarray(0, 6)).toString()))
        setInterval(() => {}, 1000)
      } else {
        const worker = new Worker(new URL(import.meta.url))
        worker.once('message', async (text) => {
          await worker.terminate()
          const files = readdirSync('/proc/self/fd').map((fd) => {
            try { return readlinkSync('/proc/self/fd/' + fd) } catch { return '' }
          })
          say({ text, open: files.filter((file) => file.includes('memfd:snapsafe')) })
        })
      }`,
      { runtimeDir: daemon.runtimeDir },
    )
    expect(ended).toEqual({ code: 0, signal: null, stderr: '' })
    expect(said).toEqual([{ text: 'secret', open: [] }])
  })

  it('is told why where there cannot be any', async () => {
    const { said, code } = await runProgram(
      `import { ProtectedMemory } from 'snapsafe'
      try { ProtectedMemory.create(32) } catch ({ name, code, message }) { say({ name, code, message }) }`,
      { runtimeDir: daemon.runtimeDir, env: { SNAPSAFE_NO_ADDON: '1' } },
    )
    expect(code).toBe(0)
    expect(said).toEqual([
      {
        name: 'ProtectedMemoryUnsupportedError',
        code: 'ERR_SNAPSAFE_MEMORY_UNSUPPORTED',
        message: expect.stringContaining('SNAPSAFE_NO_ADDON=1'),
      },
    ])
  })
})

describe('ProtectMemory', () => {
  it('tells that it protects, and of each time that it has overwritten, until the connection is closed', async () => {
    const { fd, bytes } = ownMemory(5000)
    const { generation } = await stateOf(daemon.socket)
    const client = await connectToDaemon(daemon.socket, {})
    const events = client.stream('ProtectMemory', { fd, length: 4999 })[Symbol.asyncIterator]()
    const next = async () => (await before(events.next(), replyDeadlineMs, () => 'no event came')).value
    expect(await next()).toEqual({ event: 'registered', generation })
    expect(bytes.every((byte) => byte === 1)).toBe(true)
    for (let turn = 0; turn < 2; turn++) {
      await bump(daemon.socket)
      expect(bytes.findIndex((byte) => byte !== 0)).toBe(4999)
      expect(await next()).toMatchObject({ event: 'wiped' })
      bytes.fill(1)
    }
    await client.close()
    // The next one is answered after the daemon has seen the end of the first.
    await eventually('nobody overwrites it', async () => {
      bytes.fill(1)
      await bump(daemon.socket)
      return bytes.every((byte) => byte === 1)
    })
  })

  it('says what is wrong with a descriptor', async () => {
    await using client = await connectToDaemon(daemon.socket, {})
    const { fd } = ownMemory(64)
    const file = openSync('/dev/null', 'r+')
    for (const [parameters, why] of [
      [{ fd: file, length: 1 }, 'not a memfd'],
      [{ fd, length: 65 }, 'has 64 bytes'],
      [{ fd, length: 0 }, 'not 1 to'],
      [{ fd: -1, length: 1 }, 'no descriptor'],
      [{ fd: 2 ** 30, length: 1 }, 'no descriptor'],
    ] as const) {
      const events = client.stream('ProtectMemory', parameters)[Symbol.asyncIterator]()
      await expect(events.next()).rejects.toMatchObject({
        name: 'io.snapsafe.Generation.NotProtectable',
        parameters: { reason: expect.stringContaining(why) },
      })
    }
    closeSync(file)
  })
})

const lack = lacking('users', 'python3')

describe.skipIf(lack)(`who is nobody${lack ? ` (${lack})` : ''}`, () => {
  it('cannot have overwritten what it can only read', async () => {
    const { fd, bytes } = ownMemory(4096)
    fchmodSync(fd, 0o644)
    const readable = openSync(`/proc/self/fd/${fd}`, 'r')
    const said = await asNobody([{ given: true, length: 4096 }, { length: 4096 }], readable)
    closeSync(readable)
    expect(said).toEqual([
      {
        error: 'io.snapsafe.Generation.NotProtectable',
        parameters: { reason: expect.stringContaining('not open for writing') },
        zero: false,
      },
      // Its own is overwritten by the same restore.
      { parameters: { event: 'registered', generation: expect.any(Number) }, continues: true, zero: true },
    ])
    expect(bytes.every((byte) => byte === 1)).toBe(true)
  })

  it('can have so much protected and no more', async () => {
    const many = await asNobody(Array.from({ length: 257 }, () => ({ length: 64 })))
    expect(many.slice(0, 256).filter(({ zero }) => zero)).toHaveLength(256)
    expect(many[256]).toMatchObject({
      error: 'io.snapsafe.Generation.LimitReached',
      parameters: { maximum: 256 },
    })
    const large = await asNobody(Array.from({ length: 16 }, () => ({ length: 2 ** 20 + 64 })))
    expect(large.slice(0, 15).filter(({ zero }) => zero)).toHaveLength(15)
    expect(large[15]).toMatchObject({
      error: 'io.snapsafe.Generation.LimitReached',
      parameters: { maximum: 2 ** 24 },
    })
  })
})

/** Asks for protection on a connection for each, waits for a line, and says how each was answered and what it has become. */
const protecting = `
import fcntl, json, os, socket, sys
def ask(request):
  fd = 3
  if not request.get('given'):
    fd = os.memfd_create('test', os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, request['length'])
    os.pwrite(fd, b'\\1' * request['length'], 0)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 6)
  connection = socket.socket(socket.AF_UNIX)
  connection.connect(sys.argv[1])
  parameters = { 'fd': fd, 'length': request['length'] }
  call = { 'method': 'io.snapsafe.Generation.ProtectMemory', 'parameters': parameters, 'more': True }
  connection.sendall(json.dumps(call).encode() + b'\\0')
  reply = b''
  while not reply.endswith(b'\\0'): reply += connection.recv(1)
  return fd, connection, json.loads(reply[:-1])
asked = [ask(request) for request in json.loads(sys.argv[2])]
print('asked', flush=True)
sys.stdin.readline()
print(json.dumps([{ **reply, 'zero': not any(os.pread(fd, 2 ** 21, 0)) } for fd, _, reply in asked]), flush=True)
`

interface Answer {
  readonly error?: string
  readonly zero: boolean
}

/** What becomes of these requests of an unprivileged process at a restore. `given` is its descriptor 3. */
async function asNobody(
  requests: readonly { readonly given?: boolean; readonly length: number }[],
  given: number | 'ignore' = 'ignore',
): Promise<readonly Answer[]> {
  const child = spawn('python3', ['-c', protecting, daemon.socket, JSON.stringify(requests)], {
    stdio: ['pipe', 'pipe', 'inherit', given],
    cwd: '/',
    uid: nobody,
    gid: nobody,
  }) as ChildProcessByStdio<Writable, Readable, null>
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => (await before(lines.next(), replyDeadlineMs, () => 'it says nothing')).value
  try {
    expect(await next()).toBe('asked')
    await bump(daemon.socket)
    child.stdin.write('\n')
    return JSON.parse((await next()) ?? '')
  } finally {
    child.kill('SIGKILL')
  }
}
