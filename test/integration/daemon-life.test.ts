import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectToDaemon, openPage } from 'snapsafe/protocol'
import { describe, expect, it } from 'vitest'
import { DaemonProcess, startDaemon } from '../support/daemon-process.ts'
import { eventually } from '../support/eventually.ts'
import { lacking, nobody } from '../support/needs.ts'
import { RawPeer } from '../support/raw-peer.ts'
import { bump, call, stateOf, TestWatcher } from '../support/test-watcher.ts'

const lackUsers = lacking('users')
const needing = lackUsers ? ` (${lackUsers})` : ''
/** How long a daemon that comes back waits for the watchers of the one that died. */
const reconnectGraceMs = 2000

describe.concurrent('a daemon that is stopped', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    'by %s ends with 0; the socket is gone and the page stays',
    async (signal) => {
      await using daemon = await startDaemon()
      const { generation, generationId } = await bump(daemon.socket)
      daemon.kill(signal)
      expect(await daemon.ended()).toMatchObject({ code: 0, signal: null })
      expect(existsSync(daemon.socket)).toBe(false)
      expect(pageOf(daemon.pagePath)).toMatchObject({ generation, id: generationId, phase: 'running' })
    },
  )

  it('while it starts leaves no more behind than any other', async () => {
    await using daemon = new DaemonProcess({})
    await eventually('it has begun', () => existsSync(join(daemon.runtimeDir, 'lock')))
    expect(await daemon.stop()).toMatchObject({ code: 0, signal: null })
    expect(existsSync(daemon.socket)).toBe(false)
    expect(pageOf(daemon.pagePath)).toMatchObject({ generation: 0, phase: 'running' })
  })

  it('ends its connections, of watchers, of those who wait, and of those who say and read nothing', async () => {
    await using daemon = await startDaemon()
    await using watcher = await TestWatcher.join(daemon.socket)
    await using client = await connectToDaemon(daemon.socket, {})
    const waiting = expect(client.call('Wait', { for: 'generation' })).rejects.toThrow('connection is closed')
    await using silent = RawPeer.connect(daemon.socket)
    silent.stopReading()
    await using half = RawPeer.connect(daemon.socket)
    half.send('{"meth')
    await call(daemon.socket, 'GetState', {})
    expect((await daemon.stop()).code).toBe(0)
    await expect(watcher.next()).rejects.toThrow('connection is closed')
    await waiting
    await half.closed
  })

  it('while watchers adjust does not say ready for them', async () => {
    await using daemon = await startDaemon()
    await using _ = await TestWatcher.join(daemon.socket, { tracked: true })
    const { generation } = await bump(daemon.socket)
    expect((await daemon.stop()).code).toBe(0)
    expect(pageOf(daemon.pagePath)).toMatchObject({ generation, phase: 'adjusting' })
    await daemon.restart()
    expect(await stateOf(daemon.socket)).toMatchObject({ generation, phase: 'adjusting' })
  })
})

describe.concurrent('a daemon that comes after one that was killed', () => {
  it.skipIf(lackUsers)(`goes on where neither is root's, and the page stays 0444${needing}`, async () => {
    const runtimeDir = mkdtempSync(join(tmpdir(), 'snapsafe-nobody-'))
    chownSync(runtimeDir, nobody, nobody)
    try {
      await using daemon = await startDaemon({ runtimeDir, uid: nobody, gid: nobody })
      const { generation } = await bump(daemon.socket)
      daemon.kill('SIGKILL')
      await daemon.restart()
      expect(await stateOf(daemon.socket)).toMatchObject({ generation })
      expect((await bump(daemon.socket)).generation).toBe(generation + 1)
      expect(statSync(daemon.pagePath).mode & 0o777).toBe(0o444)
    } finally {
      rmSync(runtimeDir, { recursive: true })
    }
  })

  it('goes on with generation and id, in the same inode', async () => {
    await using daemon = await startDaemon()
    const { generation, generationId, changedAtUsec } = await bump(daemon.socket)
    const { ino } = statSync(daemon.pagePath)
    const reader = openPage(daemon.pagePath)
    daemon.kill('SIGKILL')
    await daemon.ended()
    await daemon.restart()
    expect(await stateOf(daemon.socket)).toMatchObject({ generation, generationId, changedAtUsec })
    expect(statSync(daemon.pagePath).ino).toBe(ino)
    const next = await bump(daemon.socket)
    expect(next.generation).toBe(generation + 1)
    expect(next.generationId).not.toBe(generationId)
    // Who opened the page before goes on reading it.
    expect(reader.read()).toMatchObject({ generation: next.generation, id: next.generationId })
    reader.close()
  })

  it('keeps cause, reason, evidence and the time of ready', async () => {
    await using daemon = await startDaemon()
    await bump(daemon.socket, 'a good one')
    const before = await stateOf(daemon.socket)
    expect(before).toMatchObject({
      cause: 'command',
      reason: 'a good one',
      kernelRandom: 'off',
      phase: 'running',
    })
    daemon.kill('SIGKILL')
    await daemon.ended()
    await daemon.restart()
    expect(await stateOf(daemon.socket)).toEqual(before)
  })

  it('is adjusting where that one was, and ready waits for a watcher that comes back', async () => {
    await using daemon = await startDaemon()
    const before = await TestWatcher.join(daemon.socket, { name: 'loyal', tracked: true })
    const adjustedTo = before.registered.state.generation
    const { generation } = await bump(daemon.socket, 'in the middle')
    daemon.kill('SIGKILL')
    await daemon.ended()
    await before[Symbol.asyncDispose]()
    await daemon.restart()
    expect(await stateOf(daemon.socket)).toMatchObject({
      generation,
      phase: 'adjusting',
      reason: 'in the middle',
    })

    await using back = await TestWatcher.join(daemon.socket, { name: 'loyal', tracked: true, adjustedTo })
    expect(back.registered).toMatchObject({
      event: 'registered',
      outdated: true,
      state: { outdatedWatchers: 1 },
    })
    // The grace is over, and its confirmation is still owed.
    const wait = call(daemon.socket, 'Wait', { for: 'ready', timeoutMs: reconnectGraceMs + 300 })
    await expect(wait).rejects.toMatchObject({ name: 'io.snapsafe.Generation.TimedOut' })
    await back.confirm(generation)
    expect(await back.next()).toMatchObject({ event: 'ready', outdated: false })
    expect(await stateOf(daemon.socket)).toMatchObject({ generation, phase: 'running', degraded: false })
  })

  it('is ready without the watchers that do not come back, when they had their time', async () => {
    await using daemon = await startDaemon()
    const before = await TestWatcher.join(daemon.socket, { tracked: true })
    const { generation } = await bump(daemon.socket)
    daemon.kill('SIGKILL')
    await daemon.ended()
    await before[Symbol.asyncDispose]()
    const began = performance.now()
    await daemon.restart()
    const { state } = await call(daemon.socket, 'Wait', { for: 'ready', timeoutMs: 15_000 })
    expect(performance.now() - began).toBeGreaterThan(reconnectGraceMs)
    expect(state).toMatchObject({ generation, trackedWatchers: 0, degraded: false })
  })
})

function pageOf(path: string): ReturnType<ReturnType<typeof openPage>['read']> {
  const page = openPage(path)
  try {
    return page.read()
  } finally {
    page.close()
  }
}

describe('the page', () => {
  it('shows who is waited for', async () => {
    await using daemon = await startDaemon()
    await using watcher = await TestWatcher.join(daemon.socket, { tracked: true })
    const { generation } = await bump(daemon.socket)
    expect(pageOf(daemon.pagePath)).toMatchObject({
      phase: 'adjusting',
      trackedWatchers: 1,
      outdatedWatchers: 1,
    })
    await watcher.confirm(generation)
    expect(pageOf(daemon.pagePath)).toMatchObject({
      phase: 'running',
      trackedWatchers: 1,
      outdatedWatchers: 0,
    })
    expect(readFileSync(daemon.pagePath)).toHaveLength(4096)
  })
})
