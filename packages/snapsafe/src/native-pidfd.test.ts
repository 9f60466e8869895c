import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { loadNative, type NativeAddon } from './native.ts'

const loaded = loadNative()
if (loaded.addon === undefined)
  throw new Error(`${loaded.reason}; these tests need it: node tools/build-addon.mjs`)
const native: NativeAddon = loaded.addon
/** Of which there cannot be a process: the kernel's limit is 2^22. */
const noPid = 2 ** 31 - 1
const closeOnExec = 0o2000000

const directory = mkdtempSync(join(tmpdir(), 'snapsafe-pidfd-'))
const file = join(directory, 'file')
writeFileSync(file, 'abcdef')
afterAll(() => rmSync(directory, { recursive: true }))

const children: ChildProcess[] = []
const descriptors: number[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  for (const fd of descriptors.splice(0)) closeSync(fd)
})

/** A child that has the file open as descriptor 9, and ends when it is told to. */
async function startChild(): Promise<ChildProcess & { pid: number }> {
  const child = spawn('sh', ['-c', 'exec 9<"$0"; echo ready; read _', file], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  children.push(child)
  await once(child.stdout, 'data')
  return child as ChildProcess & { pid: number }
}

function open(pid: number): number {
  const pidfd = native.pidfdOpen(pid)
  descriptors.push(pidfd)
  return pidfd
}

function infoOf(fd: number): { flags: number; pid: number } {
  const info = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')
  const flags = Number.parseInt(/^flags:\s+(\d+)/m.exec(info)?.[1] ?? '', 8)
  return { flags, pid: Number(/^Pid:\s+(-?\d+)/m.exec(info)?.[1]) }
}

const withCode = (code: string, syscall?: string) =>
  expect.objectContaining({ code, ...(syscall && { syscall }) })

describe('a descriptor of a process', () => {
  it('is of that process, and not inherited', async () => {
    const { pid } = await startChild()
    const info = infoOf(open(pid))
    expect(info.pid).toBe(pid)
    expect(info.flags & closeOnExec).toBe(closeOnExec)
  })

  it('cannot be had where there is no process', () => {
    expect(() => native.pidfdOpen(noPid)).toThrow(withCode('ESRCH', 'pidfd_open'))
    expect(() => native.pidfdOpen(0)).toThrow(withCode('ERR_OUT_OF_RANGE'))
  })

  it('takes signals until the process has ended, and then says so', async () => {
    const child = await startChild()
    const pidfd = open(child.pid)
    native.pidfdSendSignal(pidfd, 0)
    expect(child.signalCode).toBeNull()
    const exit = once(child, 'exit')
    native.pidfdSendSignal(pidfd, constants.signals.SIGUSR2)
    expect(await exit).toEqual([null, 'SIGUSR2'])
    expect(() => native.pidfdSendSignal(pidfd, 0)).toThrow(withCode('ESRCH', 'pidfd_send_signal'))
  })

  it('refuses what is no signal', () => {
    const pidfd = open(process.pid)
    for (const signal of [-1, 0.5, 65, Number.NaN]) {
      expect(() => native.pidfdSendSignal(pidfd, signal)).toThrow(withCode('ERR_OUT_OF_RANGE'))
    }
    expect(() => native.pidfdSendSignal(pidfd, 'SIGTERM' as never)).toThrow(withCode('ERR_INVALID_ARG_TYPE'))
  })

  it('must be one: another file is EBADF', () => {
    const fd = openSync(file, 'r')
    descriptors.push(fd)
    expect(() => native.pidfdSendSignal(fd, 0)).toThrow(withCode('EBADF'))
    expect(() => native.pidfdGetFd(fd, 0)).toThrow(withCode('EBADF'))
  })
})

describe('a descriptor that is taken out of a process', () => {
  it('is the same open file, and not inherited', async () => {
    const { pid } = await startChild()
    const pidfd = open(pid)
    const first = native.pidfdGetFd(pidfd, 9)
    const second = native.pidfdGetFd(pidfd, 9)
    descriptors.push(first, second)
    const byte = Buffer.alloc(1)
    readSync(first, byte)
    readSync(second, byte)
    // The place in the file is theirs together.
    expect(byte.toString()).toBe('b')
    expect(infoOf(first).flags & closeOnExec).toBe(closeOnExec)
  })

  it('must be there', async () => {
    const child = await startChild()
    const pidfd = open(child.pid)
    expect(() => native.pidfdGetFd(pidfd, 8)).toThrow(withCode('EBADF', 'pidfd_getfd'))
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
    expect(() => native.pidfdGetFd(pidfd, 9)).toThrow(withCode('ESRCH', 'pidfd_getfd'))
    expect(() => native.pidfdGetFd(pidfd, -1)).toThrow(withCode('ERR_OUT_OF_RANGE'))
    expect(() => native.pidfdGetFd(pidfd, '9' as never)).toThrow(withCode('ERR_INVALID_ARG_TYPE'))
  })
})

describe('the peer of a socket', () => {
  const descriptorOf = (handle: unknown) => (handle as { _handle: { fd: number } })._handle.fd

  it('has a descriptor of its process', async () => {
    const path = join(directory, 'socket')
    const server = net.createServer().listen(path)
    await once(server, 'listening')
    const connecting = `require('node:net').connect(process.argv[1]).on('close', () => process.exit())`
    const child = spawn(process.execPath, ['-e', connecting, path], { stdio: 'inherit' })
    children.push(child)
    const [socket] = (await once(server, 'connection')) as [net.Socket]
    const pidfd = native.peerPidfd(descriptorOf(socket)) as number
    descriptors.push(pidfd)
    expect(infoOf(pidfd).pid).toBe(child.pid)
    expect(infoOf(pidfd).flags & closeOnExec).toBe(closeOnExec)
    socket.destroy()
    server.close()
  })

  it('is nobody for a socket that is not connected, and for one that is of no process', async () => {
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    expect(() => native.peerPidfd(descriptorOf(server))).toThrow(withCode('ENOTCONN', 'getsockopt'))
    server.close()
    const fd = openSync(file, 'r')
    descriptors.push(fd)
    expect(() => native.peerPidfd(fd)).toThrow(withCode('ENOTSOCK', 'getsockopt'))
  })
})
