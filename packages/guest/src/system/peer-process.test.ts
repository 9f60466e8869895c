import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, readdirSync } from 'node:fs'
import { loadNative, type NativeAddon } from 'snapsafe/native'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openPeerProcess, type Peer, type PeerProcess } from './peer-process.ts'
import { startTicksOf } from './process-status.ts'

const loaded = loadNative()
if (!loaded.addon) throw new Error(`${loaded.reason}; these tests need it: npm run build`)
const addon: NativeAddon = loaded.addon
const uid = process.getuid?.() ?? -1
const tickUsec = 10_000

let child: ChildProcess
let pid: number
let startTicks: number
beforeEach(async () => {
  child = spawn('sleep', ['3600'], { stdio: 'ignore' })
  await once(child, 'spawn')
  pid = child.pid ?? -1
  startTicks = startTicksOf(pid)
})
afterEach(() => child.kill('SIGKILL'))

async function end(): Promise<void> {
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}

/** Opens, and closes again; whatever comes of it, nothing stays open. `given`: descriptors that were open before. */
function opened(change: Partial<Peer>, given = 0): PeerProcess | undefined {
  const before = readdirSync('/proc/self/fd').length
  const acceptedAtUsec = Number(addon.bootTimeNs() / 1000n)
  const found = openPeerProcess(addon, { pid, uid, acceptedAtUsec, openPidfd: () => undefined, ...change })
  if (found) closeSync(found.pidfd)
  expect(readdirSync('/proc/self/fd').length).toBe(before - given)
  return found
}

describe('with a descriptor of the kernel’s', () => {
  it('is the process that lives, whatever it is now', () => {
    const openPidfd = () => addon.pidfdOpen(pid)
    expect(opened({ openPidfd, uid: uid + 1, acceptedAtUsec: 0 })).toMatchObject({ startTicks })
  })

  it('is nobody where it has ended, also when another has its number', async () => {
    const pidfd = addon.pidfdOpen(pid)
    await end()
    expect(opened({ pid: process.pid, openPidfd: () => pidfd }, 1)).toBeUndefined()
  })

  it('is nobody where the kernel has none', () => {
    const openPidfd = () => {
      throw Object.assign(new Error('getsockopt'), { code: 'ESRCH' })
    }
    expect(opened({ openPidfd })).toBeUndefined()
  })

  it('is unknown where the daemon has no descriptors left', () => {
    const openPidfd = () => {
      throw Object.assign(new Error('getsockopt'), { code: 'EMFILE' })
    }
    expect(() => opened({ openPidfd })).toThrow('getsockopt')
  })
})

describe('without one, before Linux 6.5', () => {
  it('is the process of the same number and user that was there before', () => {
    expect(opened({})).toMatchObject({ startTicks })
    expect(opened({ acceptedAtUsec: startTicks * tickUsec })).toMatchObject({ startTicks })
  })

  it('is nobody where that process has started later, but for a tick', () => {
    expect(opened({ acceptedAtUsec: (startTicks - 1) * tickUsec })).toMatchObject({ startTicks })
    expect(opened({ acceptedAtUsec: (startTicks - 1) * tickUsec - 1 })).toBeUndefined()
  })

  it('is nobody where that process is of another user', () => {
    expect(opened({ uid: uid + 1 })).toBeUndefined()
  })

  it('is nobody where there is none, or it is of another PID namespace', async () => {
    expect(opened({ pid: 0 })).toBeUndefined()
    await end()
    expect(opened({})).toBeUndefined()
  })
})
