import type { LogEntry } from 'snapsafe/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type DaemonProcess, startDaemon } from '../support/daemon-process.ts'
import { eventually } from '../support/eventually.ts'
import { LibraryProgram } from '../support/library-program.ts'
import { bump, call, stateOf, TestWatcher } from '../support/test-watcher.ts'

/** Says its name when it is registered, and then every event, and every signal, that it gets. It never confirms. */
const silentWatcher = `
import { connectToDaemon, socketPath, runtimeDirOf } from 'snapsafe/protocol'
for (const name of ['SIGHUP', 'SIGUSR1', 'SIGUSR2']) process.on(name, () => say(name))
const client = await connectToDaemon(socketPath(runtimeDirOf()), {})
const parameters = JSON.parse(process.env.WATCH)
for await (const { event } of client.stream('Watch', parameters)) say(event)
`

let daemon: DaemonProcess

async function start(config = ''): Promise<void> {
  daemon = await startDaemon({ config })
}

async function silent(parameters: object): Promise<LibraryProgram> {
  const env = { WATCH: JSON.stringify({ name: 'silent', ...parameters }) }
  const program = new LibraryProgram(silentWatcher, { runtimeDir: daemon.runtimeDir, env })
  expect(await program.next()).toBe('registered')
  return program
}

const ready = (timeoutMs = 10_000) => call(daemon.socket, 'Wait', { for: 'ready', timeoutMs })
const answers = async () => {
  const { entries } = await call(daemon.socket, 'GetLog', { last: 1 })
  return entries[0]?.answers.map(({ name, answer }) => `${name} ${answer}`)
}

afterEach(() => daemon[Symbol.asyncDispose]())

describe('watchers', () => {
  beforeEach(() => start())

  it('are told stage by stage, and ready is said after the last', async () => {
    const options = { tracked: true } as const
    await using application = await TestWatcher.join(daemon.socket, { name: 'application', ...options })
    await using network = await TestWatcher.join(daemon.socket, {
      name: 'network',
      stage: 'network',
      ...options,
    })
    await using identity = await TestWatcher.join(daemon.socket, {
      name: 'identity',
      stage: 'identity',
      ...options,
    })
    const { generation, stage } = await bump(daemon.socket)
    expect(stage).toBe('identity')
    for (const watcher of [identity, network, application]) {
      expect(await watcher.next()).toMatchObject({ event: 'generation', outdated: true })
      expect(await stateOf(daemon.socket)).toMatchObject({ phase: 'adjusting', generation })
      await watcher.confirm(generation)
    }
    expect((await ready()).state).toMatchObject({ phase: 'running', degraded: false })
    expect(await answers()).toEqual(['identity confirmed', 'network confirmed', 'application confirmed'])
  })

  it('of a later stage are not outdated by their own account before it has come', async () => {
    await using identity = await TestWatcher.join(daemon.socket, { tracked: true, stage: 'identity' })
    const { generation } = await bump(daemon.socket)
    await using late = await TestWatcher.join(daemon.socket, { tracked: true, adjustedTo: generation - 1 })
    expect(late.registered.outdated).toBe(false)
    await identity.confirm(generation)
    expect(await late.until('generation')).toMatchObject({ outdated: true })
    await late.confirm(generation)
  })

  it('that are waited for are named by Wait, the longest first', async () => {
    await using _ = await TestWatcher.join(daemon.socket, { name: 'slow', tracked: true })
    await using quick = await TestWatcher.join(daemon.socket, { name: 'quick', tracked: true })
    const { generation } = await bump(daemon.socket)
    await quick.confirm(generation)
    const { connectToDaemon } = await import('snapsafe/protocol')
    await using client = await connectToDaemon(daemon.socket, {})
    for await (const { progress } of client.stream('Wait', { for: 'ready', timeoutMs: 10_000 })) {
      expect(progress).toMatchObject({
        confirmed: 1,
        of: 2,
        slowest: [{ name: 'slow', owing: 'pending', sinceUsec: expect.any(Number) }],
      })
      break
    }
  })

  it('that lose their connection come back to what they owe, and until then are waited for', async () => {
    const first = await TestWatcher.join(daemon.socket, { name: 'w', tracked: true })
    const { generation } = await bump(daemon.socket)
    await first[Symbol.asyncDispose]()
    await eventually('it is missed', async () => {
      const [watcher] = (await call(daemon.socket, 'ListWatchers', {})).watchers
      return watcher?.absent
    })
    expect((await stateOf(daemon.socket)).phase).toBe('adjusting')
    await using again = await TestWatcher.join(daemon.socket, {
      name: 'w',
      tracked: true,
      adjustedTo: generation - 1,
    })
    expect(again.registered).toMatchObject({ outdated: true, state: { trackedWatchers: 1 } })
    await again.confirm(generation)
    expect((await ready()).state.degraded).toBe(false)
  })

  it('that say that they leave are not waited for', async () => {
    await using watcher = await TestWatcher.join(daemon.socket, { tracked: true })
    await bump(daemon.socket)
    await call(daemon.socket, 'Leave', { watcher: watcher.id })
    expect((await stateOf(daemon.socket)).phase).toBe('running')
  })

  it('that die owe nothing', async () => {
    await using program = await silent({ tracked: true })
    await bump(daemon.socket)
    program.kill('SIGKILL')
    const before = performance.now()
    expect((await ready()).state.degraded).toBe(false)
    // Not after the time that those have who live.
    expect(performance.now() - before).toBeLessThan(2500)
    expect(await answers()).toEqual(['silent left'])
  })

  it.each([
    [{ notify: 'signal' }, 'SIGUSR2'],
    [{ notify: 'signal', signal: 'SIGHUP' }, 'SIGHUP'],
  ])('with %j get a signal and no event', async (parameters, signal) => {
    await using program = await silent(parameters)
    await bump(daemon.socket)
    // Which of the two a process sees first is its own business.
    const told = [await program.next(), await program.next()]
    expect(told.toSorted()).toEqual([signal, 'ready'])
  })

  it('that want both get both', async () => {
    await using program = await silent({ notify: 'both', signal: 'SIGUSR1' })
    await bump(daemon.socket)
    const told = [await program.next(), await program.next(), await program.next()]
    expect(told.toSorted()).toEqual(['SIGUSR1', 'generation', 'ready'])
  })

  it('hear what is new in the log', async () => {
    const { connectToDaemon } = await import('snapsafe/protocol')
    await using client = await connectToDaemon(daemon.socket, {})
    const replies = client.stream('GetLog', {})[Symbol.asyncIterator]()
    expect((await replies.next()).value).toEqual({ entries: [] })
    const { generation } = await bump(daemon.socket)
    await eventually('the entry comes', async () => {
      const { value } = await replies.next()
      return value?.entries.some(
        (entry: LogEntry) => entry.generation === generation && entry.outcome === 'ready',
      )
    })
  })
})

describe('a watcher that has not adjusted at its deadline', () => {
  const limits = '[watchers]\ndeadline = "100ms"\n'

  it('is reported', async () => {
    await start(limits)
    await using _ = await silent({ tracked: true })
    await bump(daemon.socket)
    expect((await ready()).state).toMatchObject({ degraded: true, missed: [{ name: 'silent' }] })
    expect(await answers()).toEqual(['silent late'])
  })

  it('holds ready back until it has, where that is configured', async () => {
    await start(`${limits}after_deadline = "hold"\n`)
    await using watcher = await TestWatcher.join(daemon.socket, { name: 'w', tracked: true })
    const { generation } = await bump(daemon.socket)
    await eventually('its deadline has passed', async () => (await answers())?.includes('w held'))
    expect(await stateOf(daemon.socket)).toMatchObject({ phase: 'adjusting', outdatedWatchers: 1 })
    await watcher.confirm(generation)
    expect((await ready()).state.degraded).toBe(false)
  })

  it('is killed, where that is configured for its name, and owes nothing then', async () => {
    await start(`${limits}policies = { silent = "kill" }\n`)
    await using program = await silent({ tracked: true })
    await bump(daemon.socket)
    expect((await ready()).state).toMatchObject({ phase: 'running', degraded: false })
    expect((await program.ended).signal).toBe('SIGKILL')
    expect(await answers()).toEqual(['silent killed', 'silent left'])
  })

  it('is reported where its unit cannot be restarted', async () => {
    await start(`${limits}after_deadline = "restart"\n`)
    await using program = await silent({ tracked: true })
    await bump(daemon.socket)
    expect((await ready()).state).toMatchObject({ degraded: true, missed: [{ name: 'silent' }] })
    expect(await answers()).toEqual(['silent restarted', 'silent late'])
    expect(daemon.log()).toMatch(/cannot restart silent .*(unit of the system|systemd does not run)/)
    expect(() => process.kill(program.pid, 0)).not.toThrow()
  })
})
