import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { socketPath } from 'snapsafe/protocol'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type DaemonOptions, type DaemonProcess, startDaemon } from '../support/daemon-process.ts'
import { eventually } from '../support/eventually.ts'
import { type FdStoreOptions, TestFdStore } from '../support/fd-store.ts'
import { HookProgram } from '../support/hook-program.ts'
import { LibraryProgram } from '../support/library-program.ts'
import { lacking, nobody } from '../support/needs.ts'
import { RawPeer } from '../support/raw-peer.ts'
import { bump, call, stateOf, TestWatcher } from '../support/test-watcher.ts'

const lackPython = lacking('python3')
const lackUsers = lacking('users')
/** Longer than the grace that the tests configure. */
const pastGraceMs = 600
const shortGrace = '[watchers]\ngrace = "300ms"'
const closeOnExec = 0o2000000

let store: TestFdStore
let daemon: DaemonProcess

/** A daemon below a service manager that keeps what it is given. */
async function start(options: FdStoreOptions & DaemonOptions = {}): Promise<void> {
  store = await TestFdStore.start(options)
  onTestFinished(() => store[Symbol.asyncDispose]())
  daemon = await startDaemon({ ...options, env: store.env, launcher: store.launcher })
  onTestFinished(() => daemon[Symbol.asyncDispose]())
}

/** Ends the daemon, and starts the next one with what the service manager keeps. */
async function next(
  signal: 'SIGKILL' | 'SIGTERM',
  meanwhile: () => Promise<void> | void = () => {},
): Promise<void> {
  daemon.kill(signal)
  await daemon.ended()
  await meanwhile()
  await daemon.restart()
}

const ready = (timeoutMs = 10_000) => call(daemon.socket, 'Wait', { for: 'ready', timeoutMs })
const listed = async () => (await call(daemon.socket, 'ListWatchers', {})).watchers

describe.skipIf(lackPython)(
  `a watcher that never connects again${lackPython ? ` (${lackPython})` : ''}`,
  () => {
    it.each(['SIGKILL', 'SIGTERM'] as const)(
      'does not notice that the daemon is ended by %s',
      async (signal) => {
        await start()
        await using tracked = await TestWatcher.join(daemon.socket, { name: 'tracked', tracked: true })
        await using plain = await TestWatcher.join(daemon.socket, { name: 'plain' })
        await bump(daemon.socket)
        const first = await tracked.until('generation')
        await tracked.confirm(first.state.generation)
        await tracked.until('ready')
        await plain.until('ready')
        await store.keeps('watch-1', 'watch-2')

        await next(signal)
        await next(signal)
        const names = (await listed()).map(({ name, absent }) => ({ name, absent }))
        expect(names).toEqual([
          { name: 'tracked', absent: false },
          { name: 'plain', absent: false },
        ])
        const { generation } = await bump(daemon.socket)
        // The very next thing that they hear, with the ids that they had.
        const event = { event: 'generation', outdated: true, state: { generation } }
        expect(await tracked.next()).toMatchObject({ watcher: tracked.id, ...event })
        expect(await plain.next()).toMatchObject({ watcher: plain.id, ...event })
        expect((await stateOf(daemon.socket)).phase).toBe('adjusting')
        await tracked.confirm(generation)
        expect((await tracked.next()).event).toBe('ready')
        expect((await plain.next()).event).toBe('ready')
        expect(await stateOf(daemon.socket)).toMatchObject({ generation, phase: 'running', degraded: false })
        // The next one to come is not taken for one of those.
        await using newcomer = await TestWatcher.join(daemon.socket)
        expect(newcomer.id).toBe('3')
        await store.keeps('watch-1', 'watch-2', 'watch-3')
      },
    )

    it('owes what it owed when the daemon was killed between the event and the confirmation', async () => {
      await start({ config: shortGrace })
      await using watcher = await TestWatcher.join(daemon.socket, { name: 'slow', tracked: true })
      const { generation } = await bump(daemon.socket)
      await watcher.until('generation')
      const [before] = await listed()
      await next('SIGKILL')
      // It may have been confirming to the one that died.
      expect(await watcher.next()).toMatchObject({
        event: 'generation',
        outdated: true,
        state: { generation },
      })
      expect(await listed()).toEqual([before])
      await expect(ready(pastGraceMs)).rejects.toThrow('TimedOut')
      await watcher.confirm(generation)
      expect((await watcher.next()).event).toBe('ready')
      expect(await stateOf(daemon.socket)).toMatchObject({ generation, degraded: false })
    })

    it('is told of its stage when that comes only after the restart', async () => {
      await start()
      await using late = await TestWatcher.join(daemon.socket, { name: 'late', tracked: true })
      await using early = await TestWatcher.join(daemon.socket, { tracked: true, stage: 'identity' })
      const { generation } = await bump(daemon.socket)
      await early.until('generation')
      await next('SIGKILL')
      expect((await early.next()).event).toBe('generation')
      await early.confirm(generation)
      expect(await late.next()).toMatchObject({ event: 'generation', outdated: true })
      await late.confirm(generation)
      expect((await late.next()).event).toBe('ready')
    })

    it('is told that a planned snapshot is over, about which it was asked', async () => {
      await start({ config: '[freeze]\nmode = "off"' })
      await using watcher = await TestWatcher.join(daemon.socket, { beforeSnapshot: true })
      const quiesce = call(daemon.socket, 'Quiesce', {})
      const failed = expect(quiesce).rejects.toThrow()
      await watcher.until('quiesce')
      await next('SIGKILL')
      await failed
      expect((await watcher.next()).event).toBe('resumed')
      expect((await stateOf(daemon.socket)).phase).toBe('running')
    })

    it('is sent the signal that it asked for', async () => {
      await start()
      const env = { WATCH: JSON.stringify({ name: 'program', notify: 'both', signal: 'SIGUSR1' }) }
      await using program = new LibraryProgram(watchingProgram, { runtimeDir: daemon.runtimeDir, env })
      expect(await program.next()).toBe('registered')
      await next('SIGKILL')
      await bump(daemon.socket)
      const told = [await program.next(), await program.next(), await program.next()]
      expect(told.sort()).toEqual(['SIGUSR1', 'generation', 'ready'])
    })

    it('of the library confirms to the next daemon what it did while there was none, and does it once', async () => {
      await start()
      await using program = new HookProgram(daemon)
      await program.add('pool', 'hold')
      const { generation } = await bump(daemon.socket)
      expect(await program.next()).toMatchObject({ run: 'pool', generation })
      await next('SIGKILL', async () => {
        expect(await program.ask({ do: 'release', name: 'pool' })).toEqual({ released: 'pool' })
      })
      expect((await ready()).state).toMatchObject({ generation, degraded: false })
      expect(await listed()).toMatchObject([{ watcher: '1', adjustedTo: generation }])
      expect(await program.ask({ do: 'reseeds' })).not.toHaveProperty('run')
    })

    it('of a user without rights is kept, too', async (test) => {
      if (lackUsers) test.skip(lackUsers)
      await start()
      await using peer = RawPeer.connectAs({ uid: nobody, gid: nobody }, daemon.socket)
      await peer.call('Watch', { name: 'nobody' }, { more: true })
      await next('SIGKILL')
      expect(await listed()).toMatchObject([{ name: 'nobody', uid: nobody }])
      await bump(daemon.socket)
      expect((await peer.next()).parameters).toMatchObject({ watcher: '1', event: 'generation' })
    })

    it('is kept with a socket that the service manager listens on', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'snapsafe-listen-'))
      try {
        await start({ runtimeDir: folder, listen: socketPath(folder) })
        await using watcher = await TestWatcher.join(daemon.socket)
        await next('SIGKILL', () => expect(existsSync(daemon.socket)).toBe(true))
        await watcher.isServed()
      } finally {
        rmSync(folder, { recursive: true })
      }
    })
  },
)

describe.skipIf(lackPython)(
  `a watcher that goes while there is no daemon${lackPython ? ` (${lackPython})` : ''}`,
  () => {
    it.each([
      ['has dropped its connection', true],
      ['hands its dead connection over', false],
    ])('because it dies owes nothing, where the service manager %s', async (_, looks) => {
      await start({ looks })
      const peer = RawPeer.connectAs({}, daemon.socket)
      await peer.call('Watch', { name: 'mortal', tracked: true }, { more: true })
      await bump(daemon.socket)
      await peer.next()
      const [{ pid } = { pid: 0 }] = await listed()
      await next('SIGKILL', async () => {
        await peer[Symbol.asyncDispose]()
        await eventually('it is dead', () => !existsSync(`/proc/${pid}`))
        if (looks) await store.keeps()
      })
      // Nobody is waited for, not even for the grace.
      expect(await stateOf(daemon.socket)).toMatchObject({ phase: 'running', trackedWatchers: 0 })
      await store.keeps()
    })

    it.each([
      ['has dropped its connection', true],
      ['hands its dead connection over', false],
    ])('and lives is waited for as ever, where the service manager %s', async (_, looks) => {
      await start({ looks, config: shortGrace })
      const watcher = await TestWatcher.join(daemon.socket, { tracked: true })
      await bump(daemon.socket)
      await next('SIGKILL', async () => {
        await watcher[Symbol.asyncDispose]()
        if (looks) await store.keeps()
      })
      expect(await listed()).toMatchObject([{ absent: true }])
      await ready(pastGraceMs + 5000)
      expect(await listed()).toEqual([])
      await store.keeps()
    })
  },
)

describe.skipIf(lackPython)(`the store${lackPython ? ` (${lackPython})` : ''}`, () => {
  it('has the connections of watchers only, and only while they watch', async () => {
    await start()
    const watcher = await TestWatcher.join(daemon.socket)
    await using _ = await TestWatcher.join(daemon.socket)
    expect((await stateOf(daemon.socket)).generation).toBe(0)
    await store.keeps('watch-1', 'watch-2')
    await watcher[Symbol.asyncDispose]()
    await store.keeps('watch-2')
  })

  it('that has connections of which the daemon does not know is emptied, and they are closed', async () => {
    await start()
    await using watcher = await TestWatcher.join(daemon.socket)
    await store.keeps('watch-1')
    await next('SIGKILL', () => rmSync(join(daemon.runtimeDir, 'daemon.json')))
    await expect(watcher.next()).rejects.toThrow('connection is closed')
    await store.keeps()
    await using newcomer = await TestWatcher.join(daemon.socket)
    await store.keeps('watch-1')
    await next('SIGKILL')
    await newcomer.isServed()
  })

  it('has no connection whose peer may have got a part of an event, until it has got it all', async () => {
    await start()
    await using peer = RawPeer.connect(daemon.socket)
    await peer.call('Watch', { name: 'busy' }, { more: true })
    await store.keeps('watch-1')
    peer.stopReading()
    await eventually(
      'so much is unread that the kernel takes no more',
      async () => {
        await bump(daemon.socket)
        return store.names?.length === 0
      },
      { deadlineMs: 25_000 },
    )
    expect(await listed()).toHaveLength(1)
    peer.readOn()
    await eventually('it has all, and the next event', async () => {
      const { generation } = await bump(daemon.socket)
      for (;;) {
        const { parameters } = await peer.next()
        if (parameters.state.generation === generation) return store.names?.length === 1
      }
    })
    // Of the last event the second half might be missing, or there twice.
    await next('SIGKILL')
    expect((await peer.next()).parameters.event).toBe('ready')
    const { generation } = await bump(daemon.socket)
    expect((await peer.next()).parameters).toMatchObject({ event: 'generation', state: { generation } })
  })

  it('has nothing for a daemon that could signal the wrong process: the watcher’s own has ended', async () => {
    await start()
    const parent = spawn('python3', ['-c', heir, daemon.socket], { stdio: ['pipe', 'pipe', 'inherit'] })
    // The child has the pipes, too.
    const [text] = await once(parent.stdout, 'data')
    await eventually('the parent has ended', () => parent.exitCode === 0)
    expect(String(text)).toContain('"registered"')
    expect(await listed()).toHaveLength(1)
    const closed = once(parent.stdout, 'close')
    await next('SIGKILL')
    expect(await listed()).toEqual([])
    // Its connection is closed, and it ends.
    await closed
    await store.keeps()
  })

  it('that is full is told of once, and nobody is refused', async () => {
    await start({ size: 1 })
    await using _ = await TestWatcher.join(daemon.socket)
    await using unkept = await TestWatcher.join(daemon.socket)
    await using another = await TestWatcher.join(daemon.socket)
    await unkept.isServed()
    await another.isServed()
    await store.keeps('watch-1')
    expect(daemon.log().match(/it is full; FileDescriptorStoreMax= is 1/g)).toHaveLength(1)
    await next('SIGTERM')
    await expect(unkept.until('registered')).rejects.toThrow('connection is closed')
    expect(await listed()).toHaveLength(1)
  })

  it('is not passed on to the programs that a daemon starts', async () => {
    await start()
    await using _ = await TestWatcher.join(daemon.socket)
    await store.keeps('watch-1')
    await next('SIGKILL')
    // The first that is handed over (sd_listen_fds(3)).
    expect(readlinkSync(`/proc/${daemon.pid}/fd/3`)).toMatch(/^socket:/)
    expect(flagsOf(`/proc/${daemon.pid}/fdinfo/3`) & closeOnExec).toBe(closeOnExec)
  })
})

function flagsOf(file: string): number {
  return Number.parseInt(/^flags:\s*(\d+)/m.exec(readFileSync(file, 'utf8'))?.[1] ?? '', 8)
}

/** Watches, and leaves its connection to a child of its own, which ends with the connection. */
const heir = `
import os, socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
call = '{"method":"io.snapsafe.Generation.Watch","parameters":{"name":"parent"},"more":true}'
peer.sendall(call.encode() + bytes(1))
reply = peer.recv(65536)
if os.fork() == 0:
    while peer.recv(65536): pass
else:
    print(reply.decode(), flush=True)
`

/** Says every event, and every signal, that it gets. It has no library to connect again. */
const watchingProgram = `
import { connectToDaemon, socketPath, runtimeDirOf } from 'snapsafe/protocol'
process.on('SIGUSR1', () => say('SIGUSR1'))
const client = await connectToDaemon(socketPath(runtimeDirOf()), {})
for await (const { event } of client.stream('Watch', JSON.parse(process.env.WATCH))) say(event)
`
