import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync } from 'node:fs'
import { loadNative, type NativeAddon } from 'snapsafe/native'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { WatcherOwner } from '../orchestrator/watcher-table.ts'
import { startTicksOf } from '../system/process-status.ts'
import { enforce } from './enforce.ts'

const loaded = loadNative()
if (!loaded.addon) throw new Error(`${loaded.reason}; these tests need it: npm run build`)
const addon: NativeAddon = loaded.addon

let child: ChildProcess
let owner: WatcherOwner
beforeEach(async () => {
  child = spawn('sleep', ['3600'], { stdio: 'ignore' })
  await once(child, 'spawn')
  const pid = child.pid ?? -1
  owner = { pid, uid: 1000, startTicks: startTicksOf(pid) }
})
afterEach(() => child.kill('SIGKILL'))

function kill(change: Partial<WatcherOwner>, kept?: number): Promise<void> {
  return enforce(addon, { owner: { ...owner, ...change } }, 'kill', kept)
}

describe('kill', () => {
  it('ends the process that is known by its number and start', async () => {
    const exit = once(child, 'exit')
    await kill({})
    expect(await exit).toEqual([null, 'SIGKILL'])
  })

  it('ends the process of the descriptor, not that of the number', async () => {
    const pidfd = addon.pidfdOpen(owner.pid)
    const exit = once(child, 'exit')
    await kill({ pid: process.ppid }, pidfd)
    expect(await exit).toEqual([null, 'SIGKILL'])
    // Gone already, which is as well.
    await kill({ pid: process.ppid }, pidfd)
    closeSync(pidfd)
  })

  it('leaves another process with the number alone', async () => {
    await kill({ startTicks: owner.startTicks + 1 })
    expect(child.kill(0)).toBe(true)
    expect(child.exitCode ?? child.signalCode).toBeNull()
  })

  it('is refused where nobody knows which process it was', async () => {
    await expect(kill({ startTicks: 0 })).rejects.toThrow('had ended when it began to watch')
    for (const pid of [0, 1, process.pid])
      await expect(kill({ pid })).rejects.toThrow('none that can be ended')
    expect(child.exitCode ?? child.signalCode).toBeNull()
  })
})
