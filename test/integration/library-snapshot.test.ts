import { interfaceName } from 'snapsafe/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type DaemonProcess, startDaemon } from '../support/daemon-process.ts'
import { HookProgram } from '../support/hook-program.ts'
import { bump, call, stateOf } from '../support/test-watcher.ts'

let daemon: DaemonProcess
beforeAll(async () => {
  daemon = await startDaemon()
})
afterAll(() => daemon?.[Symbol.asyncDispose]())

const quiesce = (reason?: string) =>
  call(daemon.socket, 'Quiesce', reason === undefined ? {} : { reason }).then(({ state }) => state)
const resume = (restored: boolean) => call(daemon.socket, 'Resume', { restored })
const ready = () =>
  call(daemon.socket, 'Wait', { for: 'ready', timeoutMs: 15_000 }).then(({ state }) => state)

describe('a planned snapshot', () => {
  it('is prepared by the hooks of all processes, the last first, and undone in the original', async () => {
    await using one = new HookProgram(daemon)
    await using other = new HookProgram(daemon)
    await one.prepare('database', 'hold')
    await other.prepare('cache', 'hold')
    await one.prepare('server', 'hold')
    const quiesced = quiesce('nightly')
    for (const [program, name] of [
      [one, 'server'],
      [other, 'cache'],
      [one, 'database'],
    ] as const) {
      expect(await program.next()).toEqual({ prepare: name, reason: 'nightly' })
      expect((await stateOf(daemon.socket)).phase).toBe('quiescing')
      await program.ask({ do: 'release', name })
    }
    const { generation, phase, quiesce: planned } = await quiesced
    expect(phase).toBe('quiesced')
    expect(planned).toMatchObject({ prepared: 3, of: 3, reason: 'nightly' })
    expect(await resume(false)).toMatchObject({ restored: false, state: { generation } })
    const over = [await one.next(), await one.next()]
    expect(over).toContainEqual({ over: 'server', restored: false, generation })
    expect(over).toContainEqual({ over: 'database', restored: false, generation })
    expect(await other.next()).toEqual({ over: 'cache', restored: false, generation })
    expect(await ready()).toMatchObject({ generation, degraded: false })
  })

  it('is over in a copy when all that was prepared has been built up again', async () => {
    await using program = new HookProgram(daemon)
    await program.add('before')
    await program.prepare('pool')
    await program.add('after')
    const quiesced = quiesce()
    expect(await program.next()).toEqual({ prepare: 'pool' })
    const { generation: old } = await quiesced
    const { restored, state } = await resume(true)
    const { generation } = state
    expect(restored).toBe(true)
    expect(generation).not.toBe(old)
    expect(await program.next()).toMatchObject({ run: 'before', generation })
    expect(await program.next()).toEqual({ over: 'pool', restored: true, generation })
    expect(await program.next()).toMatchObject({ run: 'after', generation })
    expect(await ready()).toMatchObject({ generation, degraded: false, trackedWatchers: 3 })
  })

  it('is not taken when a hook vetoes it, who planned it is told why, and all goes on', async () => {
    await using first = new HookProgram(daemon)
    await using second = new HookProgram(daemon)
    await first.prepare('never asked')
    await first.prepare('busy', 'fail')
    await second.prepare('asked')
    const { generation } = await stateOf(daemon.socket)
    await expect(quiesce()).rejects.toMatchObject({
      name: `${interfaceName}.Vetoed`,
      parameters: { name: 'busy', pid: first.pid, reason: 'the pool is gone' },
    })
    expect(await stateOf(daemon.socket)).toMatchObject({ phase: 'running', generation, degraded: false })
    expect(await second.next()).toEqual({ prepare: 'asked' })
    expect(await second.next()).toEqual({ over: 'asked', restored: false, generation })
    expect(await first.next()).toEqual({ prepare: 'busy' })
    expect(await first.next()).toEqual({ over: 'busy', restored: false, generation })
    // Nothing is said of the other.
    expect(await first.ask({ do: 'guard' })).toEqual({ guarded: generation })
  })

  it('is vetoed by a hook that does not end', async () => {
    await using program = new HookProgram(daemon)
    await program.prepare('slow', 'hold', { timeoutMs: 50 })
    await expect(quiesce()).rejects.toMatchObject({
      parameters: { name: 'slow', reason: 'the hook did not end within its 50 ms' },
    })
    const { generation } = await stateOf(daemon.socket)
    const heard = [await program.next(), await program.next(), await program.next()]
    expect(heard[0]).toEqual({ prepare: 'slow' })
    expect(heard[1]).toMatchObject({ aborted: 'slow', reason: 'HookTimeoutError' })
    expect(heard[2]).toEqual({ over: 'slow', restored: false, generation })
  })

  it('does not wait for a hook that is closed while it is asked', async () => {
    await using program = new HookProgram(daemon)
    await program.prepare('leaving', 'hang')
    const quiesced = quiesce()
    expect(await program.next()).toEqual({ prepare: 'leaving' })
    program.tell({ do: 'close', name: 'leaving' })
    expect((await quiesced).phase).toBe('quiesced')
    await resume(false)
  })

  it('has guards give nothing to those who are not frozen', async () => {
    await using program = new HookProgram(daemon)
    const { generation } = await quiesce()
    expect(await program.ask({ do: 'guard' })).toEqual({ refused: 'GenerationUnstableError' })
    await resume(false)
    expect(await program.ask({ do: 'guard' })).toEqual({ guarded: generation })
  })
})

describe('a restore that nobody planned', () => {
  it('is confirmed by a hook that had nothing to prepare', async () => {
    await using program = new HookProgram(daemon)
    await program.prepare('idle')
    const { generation } = await bump(daemon.socket)
    expect(await ready()).toMatchObject({ generation, degraded: false, trackedWatchers: 1 })
    expect(await program.ask({ do: 'guard' })).toEqual({ guarded: generation })
  })

  it('is told stage by stage, over all processes', async () => {
    await using one = new HookProgram(daemon)
    await using other = new HookProgram(daemon)
    await one.add('application', 'ok')
    await one.add('network', 'hold', { stage: 'network' })
    await other.add('identity', 'hold', { stage: 'identity' })
    const { generation } = await bump(daemon.socket)
    expect(await other.next()).toMatchObject({ run: 'identity', generation })
    expect((await stateOf(daemon.socket)).stage).toBe('identity')
    await other.ask({ do: 'release', name: 'identity' })
    expect(await one.next()).toMatchObject({ run: 'network', generation })
    expect((await stateOf(daemon.socket)).stage).toBe('network')
    await one.ask({ do: 'release', name: 'network' })
    expect(await one.next()).toMatchObject({ run: 'application', generation })
    expect(await ready()).toMatchObject({ generation, degraded: false })
  })
})

describe('ready()', () => {
  it('waits until all have adjusted', async () => {
    await using program = new HookProgram(daemon)
    await using waiting = new HookProgram(daemon)
    await program.add('pool', 'hold')
    const { generation, generationId: id } = await bump(daemon.socket)
    await program.next()
    waiting.tell({ do: 'ready', options: { timeoutMs: 1500 } })
    expect(await waiting.next()).toEqual({
      late: `the machine was not ready within 1500 ms: 0 of 1 have adjusted, it waits for pool (process ${program.pid})`,
    })
    waiting.tell({ do: 'ready' })
    await program.ask({ do: 'release', name: 'pool' })
    expect(await waiting.next()).toEqual({ ready: { generation, id, degraded: false, missed: [] } })
  })

  it('names those who have not adjusted', async () => {
    await using program = new HookProgram(daemon)
    await program.add('broken', 'fail')
    await bump(daemon.socket)
    await program.next()
    program.tell({ do: 'ready' })
    expect(await program.next()).toMatchObject({ ready: { degraded: true, missed: ['broken'] } })
  })

  it('waits over a restart of the daemon', async () => {
    await using late = await startDaemon()
    await late.stop()
    await using program = new HookProgram(late)
    program.tell({ do: 'ready' })
    await late.restart()
    expect(await program.next()).toMatchObject({ ready: { generation: 0, degraded: false } })
  })
})
