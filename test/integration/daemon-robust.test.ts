import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { snapsafe } from '../support/command-process.ts'
import { type DaemonProcess, daemonProgram, runDaemon, startDaemon } from '../support/daemon-process.ts'
import { eventually } from '../support/eventually.ts'
import { lacking, nobody } from '../support/needs.ts'
import { RawPeer } from '../support/raw-peer.ts'
import { bump, call, stateOf, TestWatcher } from '../support/test-watcher.ts'

const lackUsers = lacking('users')
/** Where the page counts its updates (docs/reference/interface.md). */
const sequenceOffset = 0x0c
const needing = lackUsers ? ` (${lackUsers})` : ''

describe.concurrent('a daemon that was killed while everybody had adjusted', () => {
  it('leaves one that waits for its watchers when a restore is told before they are back', async () => {
    await using daemon = await startDaemon()
    await TestWatcher.join(daemon.socket, { tracked: true, name: 'late' })
    await eventually('the page counts it', async () => (await stateOf(daemon.socket)).trackedWatchers === 1)
    daemon.kill('SIGKILL')
    await daemon.restart()
    expect(await bump(daemon.socket)).toMatchObject({ generation: 1, phase: 'adjusting' })
    await using back = await TestWatcher.join(daemon.socket, { tracked: true, name: 'late', adjustedTo: 0 })
    expect(back.registered.outdated).toBe(true)
    const waiting = call(daemon.socket, 'Wait', { for: 'ready', timeoutMs: 20_000 })
    await back.confirm(1)
    expect((await waiting).state).toMatchObject({ phase: 'running', degraded: false, trackedWatchers: 1 })
  })

  it('leaves one that waits also where another daemon died before they were back', async () => {
    await using daemon = await startDaemon()
    const watcher = await TestWatcher.join(daemon.socket, { tracked: true })
    expect((await stateOf(daemon.socket)).trackedWatchers).toBe(1)
    for (const _ of [1, 2]) {
      daemon.kill('SIGKILL')
      await daemon.restart()
    }
    await watcher[Symbol.asyncDispose]()
    expect(await bump(daemon.socket)).toMatchObject({ generation: 1, phase: 'adjusting' })
    const { state } = await call(daemon.socket, 'Wait', { for: 'ready', timeoutMs: 20_000 })
    expect(state).toMatchObject({ phase: 'running', generation: 1 })
  })

  describe('in the midst of writing the page', () => {
    async function killInTheMidst(daemon: DaemonProcess): Promise<void> {
      daemon.kill('SIGKILL')
      await daemon.ended()
      chmodSync(daemon.pagePath, 0o644)
      const page = openSync(daemon.pagePath, 'r+')
      const sequence = new Uint32Array(1)
      readSync(page, sequence, 0, 4, sequenceOffset)
      writeSync(page, Uint32Array.of((sequence[0] ?? 0) + 1), 0, 4, sequenceOffset)
      closeSync(page)
    }

    it('is followed by one that knows what was to be on it', async () => {
      await using daemon = await startDaemon()
      const { generation, generationId } = await bump(daemon.socket)
      await killInTheMidst(daemon)
      await daemon.restart()
      expect(await stateOf(daemon.socket)).toMatchObject({ generation, generationId, cause: 'command' })
      expect(daemon.log()).toContain('the page was mended')
    })

    it('is followed by one that begins a new generation where nothing else was left', async () => {
      await using daemon = await startDaemon()
      const { generation, generationId } = await bump(daemon.socket)
      await killInTheMidst(daemon)
      rmSync(join(daemon.runtimeDir, 'daemon.json'))
      await daemon.restart()
      const state = await stateOf(daemon.socket)
      expect(state).toMatchObject({ generation: generation + 1, cause: 'ambiguous' })
      expect(state.generationId).not.toBe(generationId)
    })
  })

  it('is followed by one that is ready at once where there was nobody to wait for', async () => {
    await using daemon = await startDaemon()
    daemon.kill('SIGKILL')
    await daemon.restart()
    expect(await bump(daemon.socket)).toMatchObject({ generation: 1, phase: 'running' })
  })
})

describe.concurrent('a daemon', () => {
  it('ends with a message where its runtime directory cannot be made, as in /proc', async () => {
    const { code, log } = await runDaemon({ runtimeDir: '/proc/snapsafe-test/run' })
    expect(code).toBe(1)
    expect(log).toContain('cannot use the runtime directory /proc/snapsafe-test/run')
  })

  it.skipIf(lackUsers)(`refuses a runtime directory that belongs to somebody else${needing}`, async () => {
    const runtimeDir = mkdtempSync(join(tmpdir(), 'snapsafe-theirs-'))
    chownSync(runtimeDir, nobody, nobody)
    try {
      const { code, log } = await runDaemon({ runtimeDir })
      expect(code).toBe(1)
      expect(log).toContain(`it belongs to user ${nobody}`)
    } finally {
      rmSync(runtimeDir, { recursive: true })
    }
  })

  it('outlives its log', async () => {
    const base = mkdtempSync(join(tmpdir(), 'snapsafe-log-'))
    const args = [daemonProgram, '--runtime-dir', join(base, 'run'), '--state-dir', join(base, 'state')]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    try {
      const socket = join(base, 'run/io.snapsafe.Generation')
      await eventually('it answers', () => stateOf(socket).catch(() => undefined))
      child.stderr.destroy()
      for (let count = 1; count <= 3; count++) expect((await bump(socket)).generation).toBe(count)
      expect(child.exitCode).toBeNull()
    } finally {
      const exit = once(child, 'exit')
      child.kill()
      await exit
      rmSync(base, { recursive: true })
    }
  })

  it('goes on where connections have used up its open files', async () => {
    const launcher = ['sh', '-c', 'ulimit -n 150; exec "$@"', 'sh', process.execPath] as const
    await using daemon = await startDaemon({ launcher })
    await using healthy = await TestWatcher.join(daemon.socket)
    const crowd = Array.from({ length: 200 }, () => RawPeer.connect(daemon.socket))
    try {
      await eventually('some are turned away', async () => daemon.log().includes('too many connections'))
      expect(daemon.log()).toContain('the limit on open files leaves')
      // Places are needed for this very call.
      await Promise.all(crowd.splice(0).map((peer) => peer[Symbol.asyncDispose]()))
      await eventually('there is room again', () => bump(daemon.socket).catch(() => undefined))
      expect((await healthy.until('generation')).state.generation).toBeGreaterThan(0)
    } finally {
      await Promise.all(crowd.map((peer) => peer[Symbol.asyncDispose]()))
    }
  })

  it.skipIf(lackUsers)(`lets root alone veto a snapshot where it is told to${needing}`, async () => {
    await using daemon = await startDaemon({ config: '[watchers]\nwait_for = "privileged"' })
    await using stranger = RawPeer.connectAs({ uid: nobody, gid: nobody }, daemon.socket)
    const watch = await stranger.call('Watch', { name: 'w', beforeSnapshot: true }, { more: true })
    expect(watch.error).toBeUndefined()
    const { state } = await call(daemon.socket, 'Quiesce', {})
    expect(state).toMatchObject({ phase: 'quiesced', quiesce: { prepared: 0, of: 0 } })
  })

  it.skipIf(lackUsers)(`waits for root alone where it is told to${needing}`, async () => {
    await using daemon = await startDaemon({ config: '[watchers]\nwait_for = "privileged"' })
    await using stranger = RawPeer.connectAs({ uid: nobody, gid: nobody }, daemon.socket)
    const watch = await stranger.call('Watch', { name: 'w', tracked: true }, { more: true })
    expect(watch.error).toBeUndefined()
    expect(await bump(daemon.socket)).toMatchObject({ phase: 'running', trackedWatchers: 0 })
    await using own = await TestWatcher.join(daemon.socket, { tracked: true })
    expect(await bump(daemon.socket)).toMatchObject({ phase: 'adjusting', trackedWatchers: 1 })
    await own.confirm(2)
  })

  it('takes no generation that cannot be for the one a watcher has adjusted to', async () => {
    await using daemon = await startDaemon()
    await using peer = RawPeer.connect(daemon.socket)
    for (const adjustedTo of [-1, 2 ** 32]) {
      expect(await peer.call('Watch', { name: 'w', adjustedTo }, { more: true })).toMatchObject({
        error: 'org.varlink.service.InvalidParameter',
        parameters: { parameter: 'adjustedTo' },
      })
    }
    expect((await snapsafe(daemon, ['wait'])).code).toBe(0)
  })
})
