import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { snapsafe } from '../support/command-process.ts'
import { startDaemon } from '../support/daemon-process.ts'
import { eventually } from '../support/eventually.ts'
import { lacking, nobody } from '../support/needs.ts'
import { RawPeer } from '../support/raw-peer.ts'
import { bump, call, stateOf, TestWatcher } from '../support/test-watcher.ts'

const lackUsers = lacking('users')
const someone = { uid: nobody, gid: nobody }
const another = { uid: nobody - 1, gid: nobody }

describe.concurrent('a watcher that never reads', () => {
  it('is disconnected, and the others miss no generation', async () => {
    await using daemon = await startDaemon()
    await using healthy = await TestWatcher.join(daemon.socket, { name: 'healthy', tracked: true })
    await using deaf = RawPeer.connect(daemon.socket)
    deaf.stopReading()
    deaf.sendCall('Watch', { name: 'deaf' }, { more: true })
    const isThere = async (): Promise<boolean> => {
      const { watchers } = await call(daemon.socket, 'ListWatchers', {})
      return watchers.some(({ name }) => name === 'deaf')
    }
    await eventually('it is registered', isThere)

    await using bumper = RawPeer.connect(daemon.socket)
    const batch = 100
    let bumps = 0
    await eventually(
      'it is disconnected',
      async () => {
        for (let count = 0; count < batch; count++) bumper.sendCall('Bump', { reason: 'r'.repeat(200) })
        for (let count = 0; count < batch; count++) {
          expect((await bumper.next()).error).toBeUndefined()
          bumps++
          expect((await healthy.until('generation')).state.generation).toBe(bumps)
        }
        return !(await isThere())
      },
      { deadlineMs: 20_000 },
    )
    expect(await stateOf(daemon.socket)).toMatchObject({ generation: bumps, trackedWatchers: 1 })
    expect(daemon.log()).toMatch(/ process \d+ of user \d+ was cut off: the peer left more than \d+ bytes/)
  })
})

describe.skipIf(lackUsers).concurrent(`watchers.max_per_user${lackUsers ? ` (${lackUsers})` : ''}`, () => {
  const config = '[watchers]\nmax_per_user = 2'
  const watch = (peer: RawPeer) => peer.call('Watch', { name: 'w' }, { more: true })

  it('is told to who reaches it, and a place becomes free when a watcher leaves', async () => {
    await using daemon = await startDaemon({ config })
    await using staying = RawPeer.connectAs(someone, daemon.socket)
    const leaving = RawPeer.connectAs(someone, daemon.socket)
    await using peer = RawPeer.connectAs(someone, daemon.socket)
    for (const each of [staying, leaving]) expect((await watch(each)).error).toBeUndefined()
    expect(await watch(peer)).toEqual({
      error: 'io.snapsafe.Generation.LimitReached',
      parameters: { limit: 'watchers.max_per_user', maximum: 2 },
    })
    const refused = await snapsafe(daemon, ['watch'], someone)
    expect(refused).toMatchObject({
      code: 1,
      stderr: "snapsafe: the daemon's limit watchers.max_per_user of 2 is reached\n",
    })
    await leaving[Symbol.asyncDispose]()
    await eventually('a place is free', async () => {
      return (await watch(peer)).error === undefined
    })
  })

  it('is not for root, whose services a machine’s mostly are', async () => {
    await using daemon = await startDaemon({ config })
    await using _ = await TestWatcher.join(daemon.socket)
    await using __ = await TestWatcher.join(daemon.socket)
    await using third = await TestWatcher.join(daemon.socket)
    await third.isServed()
  })

  it('is each user’s own', async () => {
    await using daemon = await startDaemon({ config })
    await using one = RawPeer.connectAs(someone, daemon.socket)
    await using two = RawPeer.connectAs(someone, daemon.socket)
    await using three = RawPeer.connectAs(someone, daemon.socket)
    expect((await watch(one)).error).toBeUndefined()
    expect((await watch(two)).error).toBeUndefined()
    expect((await watch(three)).error).toBe('io.snapsafe.Generation.LimitReached')
    await using other = RawPeer.connectAs(another, daemon.socket)
    expect((await watch(other)).error).toBeUndefined()
    await using healthy = await TestWatcher.join(daemon.socket)
    await healthy.isServed()
  })
})

describe.skipIf(lackUsers).concurrent(`connections${lackUsers ? ` (${lackUsers})` : ''}`, () => {
  it('of one user are limited, and other users still get in', async () => {
    // One watcher with its confirmation, and 64 connections beside them.
    await using daemon = await startDaemon({ config: '[watchers]\nmax_per_user = 1' })
    await using healthy = await TestWatcher.join(daemon.socket)
    await using crowd = await Crowd.of(70, daemon.socket)
    expect(crowd.answered).toBe(66)
    await using other = RawPeer.connectAs(another, daemon.socket)
    expect((await other.call('GetState')).error).toBeUndefined()
    await healthy.isServed()
    expect(daemon.log()).toContain(`of user ${nobody} was turned away: too many connections`)
  })

  it('of everybody are limited, and root still gets in', async () => {
    // 32 of them are kept for root and the group.
    await using daemon = await startDaemon({ config: '[daemon]\nmax_connections = 64' })
    await using healthy = await TestWatcher.join(daemon.socket)
    await using crowd = await Crowd.of(40, daemon.socket)
    // Beside the healthy one; the connection with which the start was noticed may still be counted.
    expect(crowd.answered).toBeGreaterThanOrEqual(30)
    expect(crowd.answered).toBeLessThanOrEqual(31)
    await using other = RawPeer.connectAs(another, daemon.socket)
    await expect(other.call('GetState')).rejects.toThrow('closed the connection')
    expect((await bump(daemon.socket)).generation).toBe(1)
    await healthy.isServed()
  })
})

describe.skipIf(lackUsers).concurrent(`calls of Wait${lackUsers ? ` (${lackUsers})` : ''}`, () => {
  const call = { method: 'Wait', parameters: { for: 'generation' }, more: true }

  it('of one user are limited, other users still wait, and all are told', async () => {
    await using daemon = await startDaemon()
    await using crowd = await Crowd.of(70, daemon.socket, call)
    expect([crowd.answered, crowd.refused]).toEqual([70, 6])
    await using peer = RawPeer.connectAs(someone, daemon.socket)
    expect(await peer.call(call.method, call.parameters)).toEqual({
      error: 'io.snapsafe.Generation.LimitReached',
      parameters: { limit: 'calls of Wait of one user', maximum: 64 },
    })
    await using other = RawPeer.connectAs(another, daemon.socket)
    const waiting = await other.call(call.method, call.parameters, { more: true })
    expect(waiting).toMatchObject({ continues: true, parameters: { state: { generation: 0 } } })
    await bump(daemon.socket)
    expect(await other.next()).toMatchObject({ parameters: { state: { generation: 1 } } })
    // All have been answered: there is room again.
    const again = await peer.call(call.method, call.parameters, { more: true })
    expect(again).toMatchObject({ continues: true })
  })
})

/** Connections of one other process of another user, each of which asks once and stays. */
class Crowd {
  readonly answered: number
  /** Of the answered. */
  readonly refused: number
  readonly #child: ChildProcess

  static async of(
    count: number,
    socket: string,
    call: { method: string } = { method: 'GetState' },
  ): Promise<Crowd> {
    const frame = JSON.stringify({ ...call, method: `io.snapsafe.Generation.${call.method}` })
    const child = spawn(process.execPath, ['-e', crowdScript, socket, `${count}`, frame], {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: '/',
      ...someone,
    })
    const [counts] = await once(child.stdout, 'data')
    return new Crowd(child, JSON.parse(counts))
  }

  private constructor(child: ChildProcess, counts: { answered: number; refused: number }) {
    this.#child = child
    this.answered = counts.answered
    this.refused = counts.refused
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
  }
}

/** Prints how many of the connections were answered, and how many of them by an error, when each was answered or closed. */
const crowdScript = `
const [, path, count, frame] = process.argv
let answered = 0
let refused = 0
let settled = 0
for (let index = 0; index < count; index++) {
  const socket = require('node:net').connect(path)
  socket.write(frame + '\\0')
  const settle = () => { if (++settled === Number(count)) console.log(JSON.stringify({ answered, refused })) }
  let got = false
  socket.once('data', (data) => {
    got = true
    answered++
    if (String(data).startsWith('{"error"')) refused++
    settle()
  })
  socket.on('data', () => {})
  socket.on('error', () => {})
  socket.once('close', () => { if (!got) settle() })
}
`
