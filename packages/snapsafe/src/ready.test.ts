import { afterAll, describe, expect, it } from 'vitest'
import { ScriptedDaemon } from '../../../test/support/scripted-daemon.ts'
import { TestPage } from '../../../test/support/test-page.ts'
import type { Progress, State, Watcher } from './protocol/interface.generated.ts'

const page = new TestPage({ create: false })
const { NotReadyError, ready } = await import('./ready.ts')
afterAll(() => page[Symbol.dispose]())

const nobody: Progress = { confirmed: 0, of: 0, slowest: [] }

function watcher(name: string, pid: number): Watcher {
  const numbers = { pid, uid: 0, deadlineMs: 1, adjustedTo: 0 }
  const kind = { tracked: true, owing: 'pending', stage: 'application', beforeSnapshot: false } as const
  return { watcher: name, name, absent: false, ...kind, ...numbers }
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail('it was not rejected'),
    (error: unknown) => error,
  )
}

describe('ready', () => {
  it('resolves with how the machine is ready', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const waiting = ready()
    const call = await daemon.waiting()
    expect(call.parameters).toEqual({ for: 'ready', timeoutMs: 61_000 })
    const state: State = daemon.state(5, {
      degraded: true,
      missed: [watcher('pool', 1), watcher('cache', 2)],
    })
    call.replyContinues({ state: daemon.state(4), progress: nobody })
    call.reply({ state, progress: nobody })
    expect(await waiting).toEqual({
      generation: 5,
      id: state.generationId,
      degraded: true,
      missed: ['pool', 'cache'],
    })
  })

  it('waits for a daemon that is not there, and for one that comes back', async () => {
    const waiting = ready({ timeoutMs: 20_000 })
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    await daemon.waiting()
    await daemon.drop()
    const call = await daemon.waiting(2)
    call.reply({ state: daemon.state(6), progress: nobody })
    expect(await waiting).toMatchObject({ generation: 6, degraded: false, missed: [] })
  })

  it('says at its deadline whom the machine waits for', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const waiting = rejection(ready({ timeoutMs: 1000 }))
    const call = await daemon.waiting()
    const slowest = [watcher('database', 7), watcher('cache', 8)]
    call.replyContinues({ state: daemon.state(7), progress: { confirmed: 1, of: 3, slowest } })
    const error = await waiting
    expect(error).toBeInstanceOf(NotReadyError)
    expect(error).toMatchObject({
      code: 'ERR_SNAPSAFE_NOT_READY',
      message:
        'the machine was not ready within 1000 ms: 1 of 3 have adjusted, it waits for database (process 7), cache (process 8)',
    })
  })

  it('says at its deadline that the machine is quiesced, that there is no daemon, or that it does not answer', async () => {
    expect(await rejection(ready({ timeoutMs: 500 }))).toMatchObject({
      message: expect.stringContaining('ENOENT'),
      cause: { name: 'ConnectError' },
    })
    {
      await using gone = await ScriptedDaemon.listen(page.runtimeDir)
      const waiting = rejection(ready({ timeoutMs: 1000 }))
      const call = await gone.waiting()
      call.replyContinues({ state: gone.state(7), progress: nobody })
      await gone[Symbol.asyncDispose]()
      // What it said last is of no interest any more.
      expect(await waiting).toMatchObject({ message: expect.stringContaining('ENOENT') })
    }
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const silent = rejection(ready({ timeoutMs: 500 }))
    expect(await silent).toMatchObject({ message: 'the machine was not ready within 500 ms' })
    const quiesced = rejection(ready({ timeoutMs: 1000 }))
    const call = await daemon.waiting(2)
    call.replyContinues({ state: daemon.state(7, { phase: 'quiesced' }), progress: nobody })
    expect(await quiesced).toMatchObject({ message: expect.stringContaining('quiesced for a snapshot') })
  })

  it('ends with the reason of its signal, before and while it waits, with and without a daemon', async () => {
    const reason = new Error('enough')
    expect(await rejection(ready({ signal: AbortSignal.abort(reason) }))).toBe(reason)
    const alone = new AbortController()
    const waiting = rejection(ready({ signal: alone.signal }))
    alone.abort(reason)
    expect(await waiting).toBe(reason)
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const over = new AbortController()
    const connected = rejection(ready({ signal: over.signal }))
    await daemon.waiting()
    over.abort(reason)
    expect(await connected).toBe(reason)
  })

  it('refuses times that no timer takes', async () => {
    for (const timeoutMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31]) {
      expect(await rejection(ready({ timeoutMs }))).toBeInstanceOf(RangeError)
    }
  })
})
