import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type DaemonProcess, startDaemon } from '../support/daemon-process.ts'
import { eventually } from '../support/eventually.ts'
import { HookProgram } from '../support/hook-program.ts'
import { LibraryProgram, runProgram } from '../support/library-program.ts'
import { bump, call, stateOf } from '../support/test-watcher.ts'

let daemon: DaemonProcess
beforeAll(async () => {
  daemon = await startDaemon()
})
afterAll(() => daemon?.[Symbol.asyncDispose]())

const ready = () =>
  call(daemon.socket, 'Wait', { for: 'ready', timeoutMs: 15_000 }).then(({ state }) => state)
const watchers = async () => (await call(daemon.socket, 'ListWatchers', {})).watchers
const namesOfMissed = async () => (await ready()).missed.map(({ name }) => name)

describe('a hook', () => {
  it('is awaited before the machine is ready, and its promise is the confirmation', async () => {
    await using program = new HookProgram(daemon)
    await program.add('pool', 'hold')
    const before = await stateOf(daemon.socket)
    const { generation, generationId: id } = await bump(daemon.socket)
    const { reseeds, ...told } = await program.next()
    expect(told).toEqual({
      run: 'pool',
      generation,
      id,
      previous: before.generation,
      cause: 'command',
      page: generation,
    })
    expect(await stateOf(daemon.socket)).toMatchObject({ phase: 'adjusting', outdatedWatchers: 1 })
    await program.ask({ do: 'release', name: 'pool' })
    expect(await ready()).toMatchObject({
      generation,
      degraded: false,
      trackedWatchers: 1,
      outdatedWatchers: 0,
    })
    expect(await watchers()).toMatchObject([{ name: 'pool', adjustedTo: generation, owing: 'no' }])
  })

  it('runs when OpenSSL was reseeded for the new generation, however often that comes', async () => {
    await using program = new HookProgram(daemon)
    await program.add('keys')
    for (const _ of [1, 2]) {
      const before = await program.ask({ do: 'reseeds' })
      await bump(daemon.socket)
      expect((await program.next()).reseeds).toBeGreaterThan(before.reseeds)
      await ready()
    }
  })

  it('runs after the one that was registered before it has ended', async () => {
    await using program = new HookProgram(daemon)
    for (const name of ['first', 'second', 'third']) await program.add(name, 'hold')
    await bump(daemon.socket)
    for (const name of ['first', 'second', 'third']) {
      expect(await program.next()).toMatchObject({ run: name })
      // Nobody else says anything before this one has ended.
      expect(await program.ask({ do: 'release', name })).toEqual({ released: name })
    }
    expect((await ready()).degraded).toBe(false)
  })

  it('is named with its error when it fails, and does not keep the others from running', async () => {
    await using program = new HookProgram(daemon)
    await program.add('broken', 'fail')
    await program.add('sound')
    await bump(daemon.socket)
    expect(await program.next()).toMatchObject({ run: 'broken' })
    expect(await program.next()).toMatchObject({ run: 'sound' })
    const state = await ready()
    expect(state).toMatchObject({ degraded: true, outdatedWatchers: 1, trackedWatchers: 2 })
    expect(state.missed).toMatchObject([{ name: 'broken', owing: 'failed', failure: 'the pool is gone' }])
  })

  it('is named with its timeout when it does not end, and has its signal aborted', async () => {
    await using program = new HookProgram(daemon)
    await program.add('slow', 'hold', { timeoutMs: 50 })
    await program.add('hanging', 'hang', { timeoutMs: 60 })
    const { generation } = await bump(daemon.socket)
    expect(await program.next()).toMatchObject({ run: 'slow' })
    expect(await program.next()).toEqual({ aborted: 'slow', generation, reason: 'HookTimeoutError' })
    expect(await program.next()).toMatchObject({ run: 'hanging' })
    expect((await ready()).missed).toMatchObject([
      { name: 'slow', owing: 'failed', failure: 'the hook did not end within its 50 ms' },
      { name: 'hanging', owing: 'failed', failure: 'the hook did not end within its 60 ms' },
    ])
  })

  it('is asked to adjust again in the next generation after it failed in one', async () => {
    await using program = new HookProgram(daemon)
    await program.add('broken', 'fail')
    const first = await stateOf(daemon.socket)
    await bump(daemon.socket)
    expect(await program.next()).toMatchObject({ run: 'broken', previous: first.generation })
    await ready()
    const { generation } = await bump(daemon.socket)
    expect(await program.next()).toMatchObject({ run: 'broken', generation, previous: first.generation })
    expect(await namesOfMissed()).toEqual(['broken'])
  })

  it('begins anew, its signal aborted, when a newer generation comes while it runs', async () => {
    await using program = new HookProgram(daemon)
    await program.add('pool', 'hold')
    await program.add('behind')
    const before = await stateOf(daemon.socket)
    const first = await bump(daemon.socket)
    expect(await program.next()).toMatchObject({ run: 'pool', generation: first.generation })
    const second = await bump(daemon.socket)
    expect(await program.next()).toMatchObject({ aborted: 'pool', generation: first.generation })
    expect(await program.next()).toMatchObject({
      run: 'pool',
      generation: second.generation,
      previous: before.generation,
    })
    await program.ask({ do: 'release', name: 'pool' })
    expect(await program.next()).toMatchObject({ run: 'behind', generation: second.generation })
    expect(await ready()).toMatchObject({ generation: second.generation, degraded: false })
  })

  it('holds up nobody when it is not tracked', async () => {
    await using program = new HookProgram(daemon)
    await program.add('observer', 'hold', { tracked: false })
    const { generation } = await bump(daemon.socket)
    expect(await ready()).toMatchObject({ generation, trackedWatchers: 0, degraded: false })
    expect(await program.next()).toMatchObject({ run: 'observer', generation })
  })

  it.each(['close', 'abort'] as const)('owes nothing after %s, also while it runs', async (how) => {
    await using program = new HookProgram(daemon)
    await program.add('early', 'ok', { abortable: true })
    await program.add('running', 'hold', { abortable: true })
    await program.add('last')
    expect(await program.ask({ do: how, name: 'early' })).toEqual({ closed: 'early', connected: false })
    await eventually('it is gone', async () => (await watchers()).length === 2)
    await bump(daemon.socket)
    expect(await program.next()).toMatchObject({ run: 'running' })
    const heard = [
      await program.ask({ do: how, name: 'running' }),
      await program.next(),
      await program.next(),
    ]
    expect(heard).toContainEqual({ closed: 'running', connected: false })
    expect(heard).toContainEqual(expect.objectContaining({ aborted: 'running' }))
    expect(heard).toContainEqual(expect.objectContaining({ run: 'last' }))
    expect(await ready()).toMatchObject({ degraded: false, trackedWatchers: 1 })
  })

  it('has a name by default that tells the program and its number', async () => {
    await using program = new HookProgram(daemon)
    await program.add(undefined)
    await program.add(undefined)
    expect((await watchers()).map(({ name, pid }) => [name, pid])).toEqual([
      ['program.mjs#1', program.pid],
      ['program.mjs#2', program.pid],
    ])
  })

  it('works fifty times in one process, in order', async () => {
    await using program = new HookProgram(daemon)
    const names = Array.from({ length: 50 }, (_, index) => `hook-${index}`)
    for (const name of names) await program.add(name)
    const { generation } = await bump(daemon.socket)
    for (const run of names) expect(await program.next()).toMatchObject({ run, generation })
    expect(await ready()).toMatchObject({ degraded: false, trackedWatchers: 50, outdatedWatchers: 0 })
    program.hangUp()
    expect(await program.ended).toEqual({ code: 0, signal: null, stderr: '' })
  })

  it('owes nothing when its process is killed', async () => {
    await using program = new HookProgram(daemon)
    await program.add('doomed', 'hold')
    await bump(daemon.socket)
    await program.next()
    expect((await stateOf(daemon.socket)).phase).toBe('adjusting')
    program.kill('SIGKILL')
    expect(await ready()).toMatchObject({ degraded: false, trackedWatchers: 0 })
  })
})

describe('a process with hooks', () => {
  it('ends when it has nothing else to do, also after it waited for their registration at top level', async () => {
    const source = `import { onRestore } from 'snapsafe'
      const hook = onRestore(() => {})
      await hook.registered
      say({ connected: hook.connected, problem: hook.problem === undefined })`
    const { said, ...ended } = await runProgram(source, daemon)
    expect(said).toEqual([{ connected: true, problem: true }])
    expect(ended).toEqual({ code: 0, signal: null, stderr: '' })
  })

  it('waits for a daemon to come where it waits for the registration of a hook', async () => {
    await using late = await startDaemon()
    await late.stop()
    await using program = new LibraryProgram(
      `import { onRestore } from 'snapsafe'
      const hook = onRestore(() => {})
      say('waiting')
      await hook.registered
      say('registered')`,
      late,
    )
    expect(await program.next()).toBe('waiting')
    await late.restart()
    expect(await program.next()).toBe('registered')
    expect(await program.ended).toEqual({ code: 0, signal: null, stderr: '' })
  })

  it('has its guarded functions run again, with a value made anew, when a generation begins', async () => {
    await using program = new LibraryProgram(
      `import { guard, perGeneration } from 'snapsafe'
      let go
      const value = perGeneration((made) => made)
      const seen = []
      const guarded = guard(async (made) => {
        seen.push([made, value()])
        if (seen.length > 1) return 'made'
        say('running')
        await new Promise((resolve) => { go = resolve })
      })
      listen(() => go())
      const made = await guarded
      say({ made, seen })
      process.exit()`,
      daemon,
    )
    expect(await program.next()).toBe('running')
    const { generation } = await bump(daemon.socket)
    const old = generation - 1
    expect(await program.ask('go')).toEqual({
      made: 'made',
      seen: [
        [old, old],
        [generation, generation],
      ],
    })
  })
})

describe('a hook in a worker thread', () => {
  it('is a watcher of its own, and runs there', async () => {
    await using program = new HookProgram(daemon)
    expect(await program.ask({ do: 'thread' })).toEqual({ thread: 1, started: true })
    expect(await program.add(undefined, 'ok', { inThread: true })).toBe('program.mjs/1#1')
    await program.add(undefined)
    const { generation } = await bump(daemon.socket)
    const runs = [await program.next(), await program.next()]
    expect(runs.find(({ thread }) => thread === 1)).toMatchObject({
      run: 'program.mjs/1#1',
      generation,
      page: generation,
    })
    expect(runs.find(({ thread }) => thread === undefined)).toMatchObject({
      run: 'program.mjs#1',
      generation,
    })
    expect(await ready()).toMatchObject({ degraded: false, trackedWatchers: 2 })
  })

  it('owes nothing when its thread is terminated', async () => {
    await using program = new HookProgram(daemon)
    await program.ask({ do: 'thread' })
    await program.add('in thread', 'hold', { inThread: true })
    await bump(daemon.socket)
    expect(await program.next()).toMatchObject({ run: 'in thread' })
    expect((await stateOf(daemon.socket)).phase).toBe('adjusting')
    expect(await program.ask({ do: 'terminate' })).toEqual({ terminated: true })
    expect(await ready()).toMatchObject({ degraded: false, trackedWatchers: 0 })
  })
})
