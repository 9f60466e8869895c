import { rmSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type DaemonProcess, startDaemon } from '../support/daemon-process.ts'
import { eventually } from '../support/eventually.ts'
import { HookProgram } from '../support/hook-program.ts'
import { bump, call, stateOf } from '../support/test-watcher.ts'

let daemon: DaemonProcess
beforeEach(async () => {
  daemon = await startDaemon()
})
afterEach(() => daemon?.[Symbol.asyncDispose]())

const ready = () =>
  call(daemon.socket, 'Wait', { for: 'ready', timeoutMs: 15_000 }).then(({ state }) => state)
const watchers = async () => (await call(daemon.socket, 'ListWatchers', {})).watchers

async function killDaemon(): Promise<void> {
  daemon.kill('SIGKILL')
  await daemon.ended()
}

describe('a hook whose daemon was killed', () => {
  it('comes back by itself, and goes on as before', async () => {
    await using program = new HookProgram(daemon)
    await program.add('pool')
    await killDaemon()
    await daemon.restart()
    await eventually('the hook is back', async () => (await watchers()).length === 1)
    const { generation } = await bump(daemon.socket)
    expect(await program.next()).toMatchObject({ run: 'pool', generation })
    expect(await ready()).toMatchObject({ generation, degraded: false, trackedWatchers: 1 })
  })

  it('is told of the restores that it has missed', async () => {
    await using program = new HookProgram(daemon)
    await program.add('pool')
    const before = await stateOf(daemon.socket)
    program.kill('SIGSTOP')
    await killDaemon()
    await daemon.restart()
    await bump(daemon.socket)
    const { generation } = await bump(daemon.socket)
    // It is missed, and not there.
    for (const { absent } of await watchers()) expect(absent).toBe(true)
    program.kill('SIGCONT')
    expect(await program.next()).toMatchObject({ run: 'pool', generation, previous: before.generation })
    const adjusted = await eventually('the daemon knows', async () => {
      const [watcher] = (await watchers()).filter(({ absent }) => !absent)
      return watcher?.owing === 'no' && watcher
    })
    expect(adjusted).toMatchObject({ name: 'pool', adjustedTo: generation })
    expect((await ready()).degraded).toBe(false)
  })

  it('still owes what it owed, and its confirmation reaches the next daemon', async () => {
    await using program = new HookProgram(daemon)
    await program.add('pool', 'hold')
    const { generation } = await bump(daemon.socket)
    expect(await program.next()).toMatchObject({ run: 'pool', generation })
    await killDaemon()
    await daemon.restart()
    const [watcher] = await eventually('the hook is back', async () => {
      const all = await watchers()
      return all.length === 1 && all
    })
    expect(watcher).toMatchObject({ name: 'pool', owing: 'pending' })
    expect((await stateOf(daemon.socket)).phase).toBe('adjusting')
    // It is not run once more for the generation for which it is running.
    expect(await program.ask({ do: 'release', name: 'pool' })).toEqual({ released: 'pool' })
    expect(await ready()).toMatchObject({ generation, degraded: false, trackedWatchers: 1 })
  })

  it('need not do it again when it has adjusted while there was no daemon', async () => {
    await using program = new HookProgram(daemon)
    await program.add('pool', 'hold')
    const { generation } = await bump(daemon.socket)
    await program.next()
    await killDaemon()
    expect(await program.ask({ do: 'release', name: 'pool' })).toEqual({ released: 'pool' })
    await daemon.restart()
    await eventually('the hook is back', async () => (await watchers())[0]?.adjustedTo === generation)
    expect(await ready()).toMatchObject({ generation, degraded: false })
    expect(await program.ask({ do: 'reseeds' })).not.toHaveProperty('run')
  })

  it('reports its failure to the next daemon as well, without another run', async () => {
    await using program = new HookProgram(daemon)
    await program.add('broken', 'fail')
    await bump(daemon.socket)
    expect(await program.next()).toMatchObject({ run: 'broken' })
    await ready()
    await killDaemon()
    await daemon.restart()
    const failed = await eventually('the daemon knows of the failure', async () => {
      const [watcher] = await watchers()
      return watcher?.owing === 'failed' && watcher
    })
    expect(failed).toMatchObject({ name: 'broken', failure: 'the pool is gone' })
    expect(await stateOf(daemon.socket)).toMatchObject({ degraded: true, missed: [{ name: 'broken' }] })
    expect(await program.ask({ do: 'reseeds' })).not.toHaveProperty('run')
  })

  it('changes over to the page of a daemon that was set up anew', async () => {
    await using program = new HookProgram(daemon)
    await program.add('pool')
    await bump(daemon.socket)
    expect(await program.next()).toMatchObject({ run: 'pool', generation: 1, page: 1 })
    await ready()
    await daemon.stop()
    rmSync(daemon.runtimeDir, { recursive: true })
    await daemon.restart()
    expect(await program.next()).toMatchObject({ run: 'pool', generation: 0, previous: 1, page: 0 })
    await bump(daemon.socket)
    expect(await program.next()).toMatchObject({ run: 'pool', generation: 1, previous: 0, page: 1 })
    expect((await ready()).degraded).toBe(false)
  })

  it('comes back with all its fellows', async () => {
    await using program = new HookProgram(daemon)
    for (let index = 0; index < 50; index++) await program.add(`hook-${index}`)
    await killDaemon()
    await daemon.restart()
    await eventually('all are back', async () => (await watchers()).length === 50)
    await bump(daemon.socket)
    expect(await ready()).toMatchObject({ degraded: false, trackedWatchers: 50, outdatedWatchers: 0 })
  })
})
