import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Writable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { loadNative, type NativeAddon, type SecretMemory } from 'snapsafe/native'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { lacking, nobody } from '../../../../test/support/needs.ts'
import { NotProtectableError } from './not-protectable-error.ts'
import { MemoryGuard, maxRegionBytes, type ProtectedRegion } from './protected-memory.ts'
import type { MemoryRequest } from './take-memory.ts'

const loaded = loadNative()
if (!loaded.addon) throw new Error(`${loaded.reason}; these tests need it: npm run build`)
const addon: NativeAddon = loaded.addon
const require = createRequire(import.meta.url)
const uid = process.getuid?.() ?? -1
const pid = process.pid
const lackPython = lacking('python3')
const lackUsers = lacking('users')
const hasHugePages = existsSync('/sys/kernel/mm/hugepages/hugepages-2048kB')

let guard: MemoryGuard
let folder: string
const secrets: SecretMemory[] = []
const children: ChildProcess[] = []
beforeEach(() => {
  guard = new MemoryGuard(addon)
  folder = mkdtempSync(join(tmpdir(), 'snapsafe-memory-'))
})
afterEach(() => {
  guard.close()
  for (const secret of secrets.splice(0)) addon.closeSecretMemory(secret)
  for (const child of children.splice(0)) child.kill('SIGKILL')
  rmSync(folder, { recursive: true })
})

/** Memory of this process that is full of ones. */
function ownMemory(length: number): { fd: number; bytes: Uint8Array } {
  const secret = addon.createSecretMemory(length)
  secrets.push(secret)
  return { fd: secret.fd, bytes: new Uint8Array(secret.memory).fill(1) }
}

/** A process with a memfd of 4096 ones; it does as it is told, and answers. */
const holder = `
import fcntl, json, os, sys
def create(options):
  fd = os.memfd_create('test', os.MFD_ALLOW_SEALING | options.get('flags', 0))
  os.ftruncate(fd, options.get('size', 4096))
  if not options.get('flags'): os.pwrite(fd, b'\\1' * 4096, 0)
  fcntl.fcntl(fd, fcntl.F_ADD_SEALS, options.get('seals', 6))
  return fd
commands = {
  'create': create,
  'seal': lambda options: fcntl.fcntl(options['fd'], fcntl.F_ADD_SEALS, options['seals']),
  'append': lambda options: fcntl.fcntl(options['fd'], fcntl.F_SETFL, os.O_APPEND),
  'path': lambda options: os.open('/proc/self/fd/%d' % options['fd'], 0o10000000),
  'read': lambda options: sorted(set(os.pread(options['fd'], 8192, 0))),
  'be': lambda options: os.setresuid(*options['uids']),
  'size': lambda options: os.fstat(options['fd']).st_size,
}
for line in sys.stdin:
  options = json.loads(line)
  print(commands[options['do']](options), flush=True)
`

type Holder = {
  readonly pid: number
  ask(command: object): Promise<number>
  tell(command: object): Promise<string>
}

function startHolder(user: { uid?: number; gid?: number } = {}): Holder {
  const child = spawn('python3', ['-c', holder], { stdio: ['pipe', 'pipe', 'inherit'], cwd: '/', ...user })
  children.push(child)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const tell = async (command: object): Promise<string> => {
    ;(child.stdin as Writable).write(`${JSON.stringify(command)}\n`)
    return (await lines.next()).value ?? ''
  }
  return { pid: child.pid ?? -1, tell, ask: async (command) => Number(await tell(command)) }
}

type Request = Omit<MemoryRequest, 'pidfd'> & { readonly pidfd?: number }

/** Asks for it, with a descriptor of the process that has the number now where the test has none. */
function add(request: Request): ProtectedRegion {
  const own = request.pidfd === undefined ? addon.pidfdOpen(request.pid) : undefined
  try {
    return guard.add({ ...request, pidfd: request.pidfd ?? (own as number) })
  } finally {
    if (own !== undefined) closeSync(own)
  }
}

/** Adds, expects a refusal, and that nothing was left open. */
function refusal(request: Partial<Request>): string {
  const before = readdirSync('/proc/self/fd').length
  let message = 'not refused'
  try {
    add({ pid, uid, fd: 0, length: 1, ...request })
  } catch (error) {
    expect(error).toBeInstanceOf(NotProtectableError)
    expect(error).toMatchObject({ code: 'ERR_SNAPSAFE_NOT_PROTECTABLE' })
    message = (error as Error).message
  }
  expect(readdirSync('/proc/self/fd').length).toBe(before)
  expect(guard.count()).toBe(0)
  return message
}

describe('memory that is guarded', () => {
  it('is overwritten as far as was asked, again and again, until it is closed', () => {
    const { fd, bytes } = ownMemory(10_000)
    const region = add({ pid, uid, fd, length: 9000 })
    for (let turn = 0; turn < 3; turn++) {
      expect(guard.wipe()).toEqual({ regions: 1, failures: [] })
      expect(bytes.findIndex((byte) => byte !== 0)).toBe(9000)
      expect(bytes.subarray(9000).every((byte) => byte === 1)).toBe(true)
      bytes.fill(1)
    }
    region.close()
    region.close()
    expect(guard.wipe()).toEqual({ regions: 0, failures: [] })
    expect(bytes.every((byte) => byte === 1)).toBe(true)
  })

  it('may be as large as the library’s largest, and as small as a byte', () => {
    const large = ownMemory(maxRegionBytes)
    const small = ownMemory(1)
    add({ pid, uid, fd: large.fd, length: maxRegionBytes })
    add({ pid, uid, fd: small.fd, length: 1 })
    expect(guard.wipe()).toEqual({ regions: 2, failures: [] })
    expect(large.bytes.every((byte) => byte === 0)).toBe(true)
    expect(small.bytes).toEqual(new Uint8Array(1))
  })

  it('stays guarded when its process has closed the descriptor', () => {
    const { fd, bytes } = ownMemory(64)
    add({ pid, uid, fd, length: 64 })
    for (const secret of secrets) addon.closeSecretMemory(secret)
    guard.wipe()
    expect(bytes).toEqual(new Uint8Array(64))
  })

  it('is counted by user', () => {
    const { fd } = ownMemory(64)
    const mine = add({ pid, uid, fd, length: 64 })
    add({ pid, uid, fd, length: 32 })
    expect([guard.count(), guard.count(uid), guard.count(uid + 1)]).toEqual([2, 2, 0])
    expect([guard.bytes(), guard.bytes(uid), guard.bytes(uid + 1)]).toEqual([96, 96, 0])
    mine.close()
    expect([guard.count(uid), guard.bytes(uid)]).toEqual([1, 32])
    guard.close()
    expect([guard.count(), guard.bytes()]).toEqual([0, 0])
  })

  it('has its overwriting told, once for each time, until nobody wants to know', async () => {
    const told: string[] = []
    const forget = guard.onWipe(() => told.push('one'))
    guard.onWipe(() => told.push('two'))
    guard.wipe()
    expect(told).toEqual([])
    await setImmediate()
    expect(told).toEqual(['one', 'two'])
    forget()
    guard.wipe()
    await setImmediate()
    expect(told).toEqual(['one', 'two', 'two'])
  })
})

describe.skipIf(lackPython)(`memory of another process${lackPython ? ` (${lackPython})` : ''}`, () => {
  it('is overwritten there', async () => {
    const other = startHolder()
    const fd = await other.ask({ do: 'create' })
    add({ pid: other.pid, uid, fd, length: 4096 })
    expect(await other.tell({ do: 'read', fd })).toBe('[1]')
    expect(guard.wipe()).toEqual({ regions: 1, failures: [] })
    expect(await other.tell({ do: 'read', fd })).toBe('[0]')
  })

  it('is taken from the very process that a descriptor names, also where its number is another’s', async () => {
    const other = startHolder()
    const fd = await other.ask({ do: 'create' })
    const pidfd = addon.pidfdOpen(other.pid)
    add({ pid, uid, fd, length: 4096, pidfd })
    guard.wipe()
    expect(await other.tell({ do: 'read', fd })).toBe('[0]')
    closeSync(pidfd)
  })

  it('that can no longer be written is reported, and does not keep the rest from being overwritten', async () => {
    const other = startHolder()
    const sealed = await other.ask({ do: 'create' })
    const appending = await other.ask({ do: 'create' })
    const last = await other.ask({ do: 'create' })
    for (const fd of [sealed, appending, last]) add({ pid: other.pid, uid, fd, length: 4096 })
    await other.ask({ do: 'seal', fd: sealed, seals: 16 })
    await other.ask({ do: 'append', fd: appending })
    const { regions, failures } = guard.wipe()
    expect(regions).toBe(3)
    expect(failures).toHaveLength(2)
    for (const failure of failures) {
      expect(failure.message).toContain(`process ${other.pid} (user ${uid})`)
      expect(failure.message).toContain('EPERM')
    }
    expect(await other.tell({ do: 'read', fd: last })).toBe('[0]')
    expect(await other.ask({ do: 'size', fd: appending })).toBe(4096)
  })

  it('must be what can be overwritten, now and later', async () => {
    const other = startHolder()
    const create = (options: object) => other.ask({ do: 'create', ...options })
    const refused = async (fd: number | Promise<number>, length = 4096) =>
      refusal({ pid: other.pid, fd: await fd, length })
    expect(await refused(create({ seals: 0 }))).toContain('size is not sealed')
    expect(await refused(create({ seals: 2 }))).toContain('size is not sealed')
    expect(await refused(create({ seals: 4 }))).toContain('size is not sealed')
    expect(await refused(create({ seals: 6 | 8 }))).toContain('sealed against writing')
    expect(await refused(create({ seals: 6 | 16 }))).toContain('sealed against writing')
    expect(await refused(create({}), 4097)).toContain('has 4096 bytes')
    const fd = await create({})
    expect(await refused(other.ask({ do: 'path', fd }))).toContain('cannot be overwritten: EBADF')
    expect(await refused(99)).toBe(`process ${other.pid} has no descriptor 99`)
  })

  it.skipIf(!hasHugePages)('must not be of huge pages, which take no writes', async () => {
    const other = startHolder()
    // MFD_HUGETLB
    const fd = await other.ask({ do: 'create', flags: 4, size: 2 ** 21 })
    expect(refusal({ pid: other.pid, fd, length: 4096 })).toContain('cannot be overwritten: EINVAL')
  })

  it('must be of a process that is there', async () => {
    const other = startHolder()
    const fd = await other.ask({ do: 'create' })
    const pidfd = addon.pidfdOpen(other.pid)
    const [child] = children as [ChildProcess]
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
    expect(refusal({ pid: other.pid, fd, pidfd })).toBe(`process ${other.pid} has ended`)
    closeSync(pidfd)
  })
})

describe('what is refused', () => {
  it('are lengths that no secret has', () => {
    for (const length of [0, -1, 0.5, Number.NaN, maxRegionBytes + 1]) {
      expect(refusal({ length })).toContain(`not 1 to ${maxRegionBytes}`)
    }
  })

  it('are descriptors and processes that cannot be', () => {
    for (const fd of [-1, 2 ** 31]) expect(refusal({ fd })).toBe(`${fd} is no descriptor`)
  })

  it('are files of another kind, and such as are open for reading only', () => {
    const path = join(folder, 'file')
    writeFileSync(path, Buffer.alloc(4096))
    const { fd } = ownMemory(4096)
    for (const [file, why] of [
      [openSync(path, 'r+'), /not a memfd|size is not sealed/],
      [openSync('/dev/null', 'r+'), /not a memfd/],
      [openSync(`/proc/self/fd/${fd}`, 'r'), /not open for writing/],
    ] as const) {
      expect(refusal({ fd: file, length: 4096 })).toMatch(why)
      closeSync(file)
    }
  })
})

describe.skipIf(lackUsers)(`other users${lackUsers ? ` (${lackUsers})` : ''}`, () => {
  const asNobody = { uid: nobody, gid: nobody }

  it.skipIf(lackPython)('have their own memory guarded, and nobody else’s', async () => {
    const theirs = startHolder(asNobody)
    const fd = await theirs.ask({ do: 'create' })
    // The number of the one that connected is another user's process by now.
    expect(refusal({ pid, uid: nobody, fd: ownMemory(64).fd, length: 64 })).toContain(
      `not of the user ${nobody}`,
    )
    expect(refusal({ pid: theirs.pid, uid: nobody - 1, fd })).toContain(`not of the user ${nobody - 1}`)
    add({ pid: theirs.pid, uid: nobody, fd, length: 4096 })
    guard.wipe()
    expect(await theirs.tell({ do: 'read', fd })).toBe('[0]')
  })

  it.skipIf(lackPython).each([
    ['real', [0, nobody, nobody]],
    ['effective', [nobody, 0, nobody]],
    ['saved', [nobody, nobody, 0]],
  ])('have none guarded once their %s user is another, as by a setuid program', async (_, uids) => {
    const theirs = startHolder()
    const fd = await theirs.ask({ do: 'create' })
    await theirs.tell({ do: 'be', uids })
    const pidfd = addon.pidfdOpen(theirs.pid)
    const request = { pid: theirs.pid, uid: nobody, fd, length: 4096 }
    expect(refusal({ ...request, pidfd })).toContain(`not of the user ${nobody}`)
    // Root may overwrite what it likes.
    add({ ...request, uid: 0, pidfd }).close()
    closeSync(pidfd)
  })

  it('are told what the daemon lacks where it may not take descriptors', () => {
    const { fd } = ownMemory(64)
    const script = `
      const { MemoryGuard } = await import(${JSON.stringify(new URL('./protected-memory.ts', import.meta.url).href)})
      const { loadNative } = await import(${JSON.stringify(pathToFileURL(require.resolve('snapsafe/native')).href)})
      const { addon } = loadNative()
      const request = { pid: ${pid}, uid: 0, fd: ${fd}, length: 64, pidfd: addon.pidfdOpen(${pid}) }
      try { new MemoryGuard(addon).add(request) } catch (error) { console.log(error.message) }`
    const tsx = pathToFileURL(require.resolve('tsx')).href
    const args = ['--import', tsx, '--input-type=module', '-e', script]
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: '/', ...asNobody })
    expect(stdout + stderr).toContain('CAP_SYS_PTRACE')
  })
})
