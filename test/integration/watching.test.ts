import { connectToDaemon, type Methods, openPage } from 'snapsafe/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type DaemonProcess, startDaemon } from '../support/daemon-process.ts'
import { eventually } from '../support/eventually.ts'
import { RawPeer } from '../support/raw-peer.ts'
import { bump, call, stateOf, TestWatcher } from '../support/test-watcher.ts'

let daemon: DaemonProcess
beforeAll(async () => {
  daemon = await startDaemon({ config: '[watchers]\nmax_deadline = "400ms"\ndeadline = "400ms"' })
})
afterAll(() => daemon[Symbol.asyncDispose]())

const tracked = true
/** Confirmed in time by whoever means to. */
const longMs = 60_000

describe('Watch', () => {
  it('says registered at once, then generation and ready, each with the state of its moment', async () => {
    await using patient = await startDaemon()
    await using watcher = await TestWatcher.join(patient.socket, { tracked, deadlineMs: longMs })
    expect(watcher.registered).toMatchObject({
      event: 'registered',
      outdated: false,
      state: { generation: 0, phase: 'running', trackedWatchers: 1, outdatedWatchers: 0 },
    })
    const { generationId } = await bump(patient.socket)
    expect(await watcher.next()).toMatchObject({
      watcher: watcher.id,
      event: 'generation',
      outdated: true,
      state: { generation: 1, generationId, phase: 'adjusting', outdatedWatchers: 1 },
    })
    await watcher.confirm(1)
    expect(await watcher.next()).toMatchObject({
      event: 'ready',
      outdated: false,
      state: { generation: 1, phase: 'running', outdatedWatchers: 0, degraded: false },
    })
  })

  it('tells of a generation only when the page shows it', async () => {
    const page = openPage(daemon.pagePath)
    await using watcher = await TestWatcher.join(daemon.socket)
    for (let count = 0; count < 20; count++) {
      void bump(daemon.socket)
      const { state } = await watcher.until('generation')
      expect(page.read()).toMatchObject({ generation: state.generation, id: state.generationId })
    }
    page.close()
  })

  it('with adjustedTo of another generation is outdated from the start, and may confirm at once', async () => {
    const { generation } = await bump(daemon.socket)
    await using watcher = await TestWatcher.join(daemon.socket, { tracked, adjustedTo: generation - 1 })
    expect(watcher.registered).toMatchObject({ outdated: true, state: { generation, outdatedWatchers: 1 } })
    await watcher.confirm(generation)
    expect(await stateOf(daemon.socket)).toMatchObject({ outdatedWatchers: 0 })
  })

  it('with adjustedTo of the current generation owes nothing', async () => {
    const { generation } = await stateOf(daemon.socket)
    await using watcher = await TestWatcher.join(daemon.socket, { tracked, adjustedTo: generation })
    expect(watcher.registered).toMatchObject({ outdated: false, state: { outdatedWatchers: 0 } })
  })

  it('that is not tracked holds up nobody', async () => {
    await using watcher = await TestWatcher.join(daemon.socket)
    await bump(daemon.socket)
    expect(await watcher.next()).toMatchObject({ event: 'generation', state: { trackedWatchers: 0 } })
    expect(await watcher.next()).toMatchObject({ event: 'ready', state: { degraded: false } })
  })

  it('ends with its connection: who dies owes nothing', async () => {
    await using patient = await startDaemon()
    await using witness = await TestWatcher.join(patient.socket)
    const dying = RawPeer.connectAs({}, patient.socket)
    await dying.call('Watch', { name: 'dying', tracked }, { more: true })
    await bump(patient.socket)
    expect(await witness.next()).toMatchObject({ event: 'generation', state: { outdatedWatchers: 1 } })
    await dying[Symbol.asyncDispose]()
    expect(await witness.next()).toMatchObject({
      event: 'ready',
      state: { trackedWatchers: 0, degraded: false },
    })
  })
})

describe('a deadline', () => {
  it('is capped by max_deadline; who misses it is named, and may still confirm', async () => {
    await using slow = await TestWatcher.join(daemon.socket, { name: 'slow', tracked, deadlineMs: longMs })
    const began = performance.now()
    const { generation } = await bump(daemon.socket)
    const { state } = await slow.until('ready')
    expect(performance.now() - began).toBeGreaterThan(390)
    expect(state).toMatchObject({
      generation,
      degraded: true,
      outdatedWatchers: 1,
      missed: [
        { watcher: slow.id, name: 'slow', owing: 'deadline', deadlineMs: 400, adjustedTo: generation - 1 },
      ],
    })
    await slow.confirm(generation)
    expect(await stateOf(daemon.socket)).toMatchObject({ degraded: false, outdatedWatchers: 0, missed: [] })
  })

  it('cannot be put off by leaving and joining again', async () => {
    await using _ = await TestWatcher.join(daemon.socket, { tracked, deadlineMs: longMs })
    const { generation, changedAtUsec } = await bump(daemon.socket)
    await eventually('the guest is ready, whoever joins', async () => {
      await using again = await TestWatcher.join(daemon.socket, { tracked, adjustedTo: generation - 1 })
      return again.registered.state.phase === 'running'
    })
    const { readyAtUsec } = await stateOf(daemon.socket)
    // The deadline, and as much again for a loaded machine.
    expect((readyAtUsec ?? 0) - changedAtUsec).toBeLessThan(800_000)
  })
})

describe('Confirm', () => {
  it('with a failure names the watcher with its words, and nobody waits for its deadline', async () => {
    await using patient = await startDaemon()
    await using watcher = await TestWatcher.join(patient.socket, {
      name: 'failing',
      tracked,
      deadlineMs: longMs,
    })
    const { generation } = await bump(patient.socket)
    await watcher.confirm(generation, 'the disk is full')
    expect(await watcher.until('ready')).toMatchObject({
      outdated: true,
      state: { degraded: true, missed: [{ name: 'failing', owing: 'failed', failure: 'the disk is full' }] },
    })
    // What failed may succeed when it is tried again.
    await watcher.confirm(generation)
    expect(await stateOf(patient.socket)).toMatchObject({ degraded: false, missed: [] })
  })

  it('keeps no more than 200 characters of why', async () => {
    await using watcher = await TestWatcher.join(daemon.socket, { name: 'talking', tracked })
    const { generation } = await bump(daemon.socket)
    await watcher.confirm(generation, 'y'.repeat(1000))
    const failure = 'y'.repeat(200)
    expect((await stateOf(daemon.socket)).missed).toMatchObject([{ name: 'talking', failure }])
    const [entry] = (await call(daemon.socket, 'GetLog', { last: 1 })).entries
    expect(entry?.answers).toMatchObject([{ name: 'talking', answer: 'failed', detail: failure }])
  })

  it('twice is no error', async () => {
    await using watcher = await TestWatcher.join(daemon.socket, { tracked })
    const { generation } = await bump(daemon.socket)
    await watcher.confirm(generation)
    await watcher.confirm(generation)
    expect(await stateOf(daemon.socket)).toMatchObject({ phase: 'running', outdatedWatchers: 0 })
  })

  it('of the first of two generations does not count for the second', async () => {
    await using patient = await startDaemon()
    await using watcher = await TestWatcher.join(patient.socket, { tracked })
    expect((await bump(patient.socket)).generation).toBe(1)
    expect((await bump(patient.socket)).generation).toBe(2)
    await expect(watcher.confirm(1)).rejects.toMatchObject({
      name: 'io.snapsafe.Generation.StaleGeneration',
      parameters: { current: 2 },
    })
    expect((await stateOf(patient.socket)).phase).toBe('adjusting')
    await watcher.confirm(2)
    const events = [await watcher.next(), await watcher.next(), await watcher.next()]
    expect(events.map(({ event, state }) => [event, state.generation])).toEqual([
      ['generation', 1],
      ['generation', 2],
      ['ready', 2],
    ])
  })
})

describe('Wait', () => {
  it('for ready with more tells of each step, and ends when the last has confirmed', async () => {
    await using patient = await startDaemon()
    await using one = await TestWatcher.join(patient.socket, { tracked })
    await using two = await TestWatcher.join(patient.socket, { tracked })
    const { generation } = await bump(patient.socket)
    await using client = await connectToDaemon(patient.socket, {})
    const steps = follow(client.stream('Wait', { for: 'ready' }))
    // Which of its calls the daemon takes first is its affair; a second call on this connection comes after the first.
    await eventually('it waits', async () => {
      await using _ = await TestWatcher.join(patient.socket, { tracked, adjustedTo: generation })
      return steps.states.length > 0
    })
    await one.confirm(generation)
    await two.confirm(generation)
    await steps.ended
    expect(steps.states[0]).toMatchObject({ phase: 'adjusting', outdatedWatchers: 2 })
    expect(steps.states.at(-1)).toMatchObject({ generation, phase: 'running', outdatedWatchers: 0 })
    expect(steps.states.filter(({ phase }) => phase === 'running')).toHaveLength(1)
  })

  it('for ready with more tells of the last change, however soon it came after another', async () => {
    await using patient = await startDaemon()
    await using one = await TestWatcher.join(patient.socket, { tracked })
    await using two = await TestWatcher.join(patient.socket, { tracked })
    await using _ = await TestWatcher.join(patient.socket, { tracked })
    const { generation } = await bump(patient.socket)
    await using client = await connectToDaemon(patient.socket, {})
    const steps = follow(client.stream('Wait', { for: 'ready' }))
    await eventually('it waits', () => steps.states.length > 0)
    await Promise.all([one.confirm(generation), two.confirm(generation)])
    await eventually('it is told of both', () => steps.states.at(-1)?.outdatedWatchers === 1)
    expect(steps.states.at(-1)?.phase).toBe('adjusting')
  })

  it('for ready returns at once where the guest is ready', async () => {
    await call(daemon.socket, 'Wait', { for: 'ready' })
    expect((await call(daemon.socket, 'Wait', { for: 'ready', timeoutMs: 0 })).state.phase).toBe('running')
  })

  it('for a generation returns with the next one', async () => {
    const { generation } = await stateOf(daemon.socket)
    const waiting = call(daemon.socket, 'Wait', { for: 'generation', from: generation })
    await bump(daemon.socket)
    expect((await waiting).state.generation).toBe(generation + 1)
    await expect(call(daemon.socket, 'Wait', { for: 'generation', timeoutMs: 1 })).rejects.toMatchObject({
      name: 'io.snapsafe.Generation.TimedOut',
    })
  })

  it('takes null for what is absent', async () => {
    await using peer = RawPeer.connect(daemon.socket)
    const { error } = await peer.call('Wait', { for: 'generation', from: null, timeoutMs: 1 })
    expect(error).toBe('io.snapsafe.Generation.TimedOut')
    await using watcher = RawPeer.connect(daemon.socket)
    const parameters = { name: 'null', tracked: null, deadlineMs: null, adjustedTo: null }
    const reply = await watcher.call('Watch', parameters, { more: true })
    expect(reply).toMatchObject({ continues: true, parameters: { outdated: false } })
    expect((await peer.call('Bump', { reason: null, minimum: null })).error).toBeUndefined()
  })
})

describe('Bump', () => {
  it('by many at once counts each of them, and gives each generation an id of its own', async () => {
    const { generation } = await stateOf(daemon.socket)
    const states = await Promise.all(Array.from({ length: 20 }, () => bump(daemon.socket)))
    expect((await stateOf(daemon.socket)).generation).toBe(generation + 20)
    const ids = new Map(states.map((state) => [state.generation, state.generationId]))
    expect(new Set(ids.values()).size).toBe(ids.size)
  })
})

/** Collects the states of a stream; `ended` resolves with it. */
function follow(stream: AsyncIterable<Methods['Wait']['reply']>) {
  const states: Methods['Wait']['reply']['state'][] = []
  const ended = (async () => {
    for await (const { state } of stream) states.push(state)
  })()
  ended.catch(() => undefined)
  return { states, ended }
}
