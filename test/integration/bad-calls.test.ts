import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type DaemonProcess, startDaemon } from '../support/daemon-process.ts'
import { lacking, nobody } from '../support/needs.ts'
import { RawPeer } from '../support/raw-peer.ts'
import { bump, call, stateOf, TestWatcher } from '../support/test-watcher.ts'

const dayMs = 86_400_000
const lackUsers = lacking('users')

let daemon: DaemonProcess
beforeAll(async () => {
  daemon = await startDaemon()
})
afterAll(() => daemon[Symbol.asyncDispose]())

interface BadCall {
  readonly title: string
  readonly method: string
  readonly parameters?: unknown
  readonly more?: true
  readonly error: string
  readonly says?: object
}

const more = true

/** A call whose parameter is refused. */
function refused(title: string, method: string, parameters: unknown, parameter: string, flags = {}): BadCall {
  return {
    title,
    method,
    parameters,
    error: 'org.varlink.service.InvalidParameter',
    says: { parameter },
    ...flags,
  }
}

const badCalls: BadCall[] = [
  {
    title: 'an unknown interface',
    method: 'io.snapsafe.Degeneration.GetState',
    error: 'org.varlink.service.InterfaceNotFound',
    says: { interface: 'io.snapsafe.Degeneration' },
  },
  {
    title: 'an unknown method',
    method: 'Regenerate',
    error: 'org.varlink.service.MethodNotFound',
    says: { method: 'io.snapsafe.Generation.Regenerate' },
  },
  {
    title: 'a method that is a member of every object',
    method: 'constructor',
    error: 'org.varlink.service.MethodNotFound',
    says: { method: 'io.snapsafe.Generation.constructor' },
  },
  refused('parameters that are an array', 'GetState', [], 'parameters'),
  refused('parameters that are a string', 'GetState', 'now', 'parameters'),
  refused('an unknown parameter', 'GetState', { verbose: true }, 'verbose'),
  refused('a missing parameter', 'Confirm', { watcher: '1' }, 'generation'),
  refused('a parameter of another type', 'Confirm', { watcher: 1, generation: 1 }, 'watcher'),
  refused('a fraction for a number', 'Confirm', { watcher: '1', generation: 0.5 }, 'generation'),
  refused('a number beyond 53 bits', 'Confirm', { watcher: '1', generation: 2 ** 60 }, 'generation'),
  refused('a word that is none of the enum', 'Wait', { for: 'godot' }, 'for'),
  refused('a wait of less than nothing', 'Wait', { for: 'ready', timeoutMs: -1 }, 'timeoutMs'),
  refused('a wait of more than a day', 'Wait', { for: 'ready', timeoutMs: dayMs + 1 }, 'timeoutMs'),
  refused('a bump to a negative minimum', 'Bump', { minimum: -1 }, 'minimum'),
  refused('a bump to a minimum over 2^31-1', 'Bump', { minimum: 2 ** 31 }, 'minimum'),
  refused('a bump with a long reason', 'Bump', { reason: 'x'.repeat(201) }, 'reason'),
  {
    title: 'a watch without more',
    method: 'Watch',
    parameters: { name: 'w' },
    error: 'org.varlink.service.ExpectedMore',
  },
  refused('a watch without a name', 'Watch', {}, 'name', { more }),
  refused('an empty name', 'Watch', { name: '' }, 'name', { more }),
  refused('a name that is too long', 'Watch', { name: 'n'.repeat(129) }, 'name', { more }),
  refused('a name with a newline', 'Watch', { name: 'a\nb' }, 'name', { more }),
  refused('a name with an escape sequence', 'Watch', { name: '\u001b[2J' }, 'name', { more }),
  refused('a name that turns the direction of writing', 'Watch', { name: '\u202etxt' }, 'name', { more }),
  refused('a deadline of no time', 'Watch', { name: 'w', deadlineMs: 0 }, 'deadlineMs', { more }),
  {
    title: 'a confirmation for a watcher that never was',
    method: 'Confirm',
    parameters: { watcher: '999999', generation: 0 },
    error: 'io.snapsafe.Generation.NoSuchWatcher',
  },
  {
    title: 'a confirmation for a watcher that is not even a number',
    method: 'Confirm',
    parameters: { watcher: '__proto__', generation: 0 },
    error: 'io.snapsafe.Generation.NoSuchWatcher',
  },
]

describe('a bad call is answered with its own error, and changes nothing:', () => {
  it.each(badCalls)('$title', async ({ method, parameters, more, error, says = {} }) => {
    await using healthy = await TestWatcher.join(daemon.socket)
    const before = await stateOf(daemon.socket)
    await using peer = RawPeer.connect(daemon.socket)
    expect(await peer.call(method, parameters, more && { more })).toEqual({ error, parameters: says })
    expect(await stateOf(daemon.socket)).toEqual(before)
    // The connection goes on, and so does everybody else's.
    expect((await peer.call('GetState')).error).toBeUndefined()
    await healthy.isServed()
  })

  it('a confirmation for a watcher of another process', async () => {
    await using healthy = await TestWatcher.join(daemon.socket)
    await using watcher = await TestWatcher.join(daemon.socket, { tracked: true })
    const { generation } = await bump(daemon.socket)
    await using stranger = RawPeer.connectAs({}, daemon.socket)
    const confirmation = { watcher: watcher.id, generation }
    expect(await stranger.call('Confirm', confirmation)).toEqual({
      error: 'io.snapsafe.Generation.NotOwner',
      parameters: {},
    })
    expect((await stateOf(daemon.socket)).outdatedWatchers).toBe(1)
    await healthy.isServed()
  })

  it('a confirmation for an old generation, and for one that is yet to come', async () => {
    await using healthy = await TestWatcher.join(daemon.socket)
    await using watcher = await TestWatcher.join(daemon.socket, { tracked: true })
    const { generation } = await bump(daemon.socket)
    await using peer = RawPeer.connect(daemon.socket)
    for (const wrong of [generation - 1, generation + 1, -1]) {
      expect(await peer.call('Confirm', { watcher: watcher.id, generation: wrong })).toEqual({
        error: 'io.snapsafe.Generation.StaleGeneration',
        parameters: { current: generation },
      })
    }
    expect((await stateOf(daemon.socket)).outdatedWatchers).toBe(1)
    await healthy.isServed()
  })

  it('a confirmation for a watcher that has left', async () => {
    await using healthy = await TestWatcher.join(daemon.socket)
    const watcher = await TestWatcher.join(daemon.socket, { tracked: true })
    const { generation } = watcher.registered.state
    await watcher[Symbol.asyncDispose]()
    await healthy.isServed()
    await expect(watcher.confirm(generation + 1)).rejects.toMatchObject({
      name: 'io.snapsafe.Generation.NoSuchWatcher',
    })
  })

  it('a wait that is over', async () => {
    await using watcher = await TestWatcher.join(daemon.socket, { tracked: true })
    const { generation } = await bump(daemon.socket)
    await using peer = RawPeer.connect(daemon.socket)
    expect(await peer.call('Wait', { for: 'ready', timeoutMs: 0 })).toMatchObject({
      error: 'io.snapsafe.Generation.TimedOut',
      parameters: { state: { generation, phase: 'adjusting' } },
    })
    await watcher.confirm(generation)
    await call(daemon.socket, 'Wait', { for: 'ready' })
  })

  it.skipIf(lackUsers)(`a bump by another user${lackUsers ? ` (${lackUsers})` : ''}`, async () => {
    await using healthy = await TestWatcher.join(daemon.socket)
    const before = await stateOf(daemon.socket)
    await using peer = RawPeer.connectAs({ uid: nobody, gid: nobody }, daemon.socket)
    expect(await peer.call('Bump', { reason: 'for fun' })).toEqual({
      error: 'io.snapsafe.Generation.PermissionDenied',
      parameters: { required: 'root, or a member of the group snapsafe' },
    })
    expect(await stateOf(daemon.socket)).toEqual(before)
    await healthy.isServed()
  })
})
