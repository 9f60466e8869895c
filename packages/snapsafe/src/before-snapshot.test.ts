import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { eventually } from '../../../test/support/eventually.ts'
import { ScriptedDaemon, type ScriptedWatch } from '../../../test/support/scripted-daemon.ts'
import { TestPage } from '../../../test/support/test-page.ts'
import type { RestoreHook } from './hook.ts'
import type { SnapshotEvent, SnapshotHookOptions, SnapshotOverEvent } from './snapshot-hook.ts'

// Without a page, as in hooks.test.ts. What goes on with a real daemon is tested in test/integration/library-snapshot.test.ts.
const page = new TestPage({ create: false })
const { beforeSnapshot } = await import('./before-snapshot.ts')
const { onRestore } = await import('./hooks.ts')
const open: RestoreHook[] = []
let generation = 0

afterEach(() => {
  for (const hook of open.splice(0)) hook.close()
})
afterAll(() => page[Symbol.dispose]())

/** A hook that is registered in a generation of its own, and keeps what it was told. */
async function hookOf(
  daemon: ScriptedDaemon,
  handle: (event: SnapshotEvent) => unknown = () => {},
  options: SnapshotHookOptions = {},
) {
  const events: SnapshotEvent[] = []
  const over: SnapshotOverEvent[] = []
  const handler = (event: SnapshotEvent) => {
    events.push(event)
    return handle(event)
  }
  const afterwards = (event: SnapshotOverEvent) => {
    over.push(event)
    return options.afterwards?.(event)
  }
  const hook = beforeSnapshot(handler, { name: 'pool', ...options, afterwards })
  open.push(hook)
  const watch = await daemon.watch('pool')
  generation += 10
  const state = daemon.state(generation, { phase: 'running' })
  watch.tell('registered', state, false)
  await hook.registered
  const restored = () => over.map((event) => event.restored)
  return { hook, watch, state, events, over, restored }
}

/** Comes back after the loss of all connections. */
async function back(daemon: ScriptedDaemon, hook: RestoreHook): Promise<ScriptedWatch> {
  const { length } = daemon.watches
  await daemon.drop()
  await eventually('the loss is noticed', () => !hook.connected)
  return eventually('it is back', () => daemon.watches[length])
}

const hang = () => new Promise(() => {})

describe('a hook before a planned snapshot', () => {
  it('is run when the daemon asks, and its end is the answer', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    let end = () => {}
    const { watch, state, events } = await hookOf(
      daemon,
      () => new Promise<void>((resolve) => (end = resolve)),
    )
    expect(watch.parameters).toMatchObject({ tracked: true, beforeSnapshot: true, stage: 'application' })
    watch.tell('quiesce', daemon.planned(state, 7, { reason: 'nightly', deadlineUsec: 123 }), false)
    await eventually('it runs', () => events.length === 1)
    expect(events).toEqual([{ reason: 'nightly', deadlineUsec: 123, signal: expect.any(AbortSignal) }])
    expect(daemon.answers).toEqual([])
    end()
    expect(await daemon.answered(watch)).toEqual([{ watcher: watch.id, quiesce: 7 }])
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('in the midst of a payment')
      },
      'in the midst of a payment',
    ],
    ['rejects', () => Promise.reject(new Error('not now')), 'not now'],
    ['takes too long', hang, 'the hook did not end within its 30 ms'],
  ])('vetoes when its handler %s', async (_, handle, veto) => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const { watch, state, restored } = await hookOf(daemon, handle, { timeoutMs: 30 })
    watch.tell('quiesce', daemon.planned(state, 8), false)
    expect(await daemon.answered(watch)).toEqual([{ watcher: watch.id, quiesce: 8, veto }])
    expect(restored()).toEqual([])
    watch.tell('resumed', state, false)
    await eventually('it goes on', () => restored().length > 0)
    expect(restored()).toEqual([false])
  })

  it('answers again after a passing refusal, and not after a final one', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const { watch, state } = await hookOf(daemon)
    daemon.refusals.push('Internal', 'StaleQuiesce')
    watch.tell('quiesce', daemon.planned(state, 1), false)
    await daemon.answered(watch, 2)
    watch.tell('resumed', state, false)
    watch.tell('quiesce', daemon.planned(state, 2), false)
    const answers = await daemon.answered(watch, 3)
    expect(answers.map(({ quiesce }) => quiesce)).toEqual([1, 1, 2])
  })

  it('answers once more, without another run, when it is asked once more', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const { hook, watch, state, events, restored } = await hookOf(daemon, () =>
      Promise.reject(new Error('no')),
    )
    const planned = daemon.planned(state, 9)
    watch.tell('quiesce', planned, false)
    await daemon.answered(watch)
    const again = await back(daemon, hook)
    again.tell('registered', planned, false)
    again.tell('quiesce', planned, false)
    expect(await daemon.answered(again)).toEqual([{ watcher: again.id, quiesce: 9, veto: 'no' }])
    expect(events).toHaveLength(1)
    expect(restored()).toEqual([])
  })

  it('keeps the place that it had when it was registered first', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const { hook, watch } = await hookOf(daemon)
    open.push(onRestore(() => {}, { name: 'later' }))
    const later = await daemon.watch('later')
    const place = watch.parameters.registeredAtUsec as number
    expect(later.parameters.registeredAtUsec).toBeGreaterThan(place)
    const again = await back(daemon, hook)
    expect(again.parameters.registeredAtUsec).toBe(place)
  })
})

describe('the end of a planned snapshot', () => {
  it('is told once in the original', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const { watch, state, over } = await hookOf(daemon)
    watch.tell('quiesce', daemon.planned(state, 1), false)
    await daemon.answered(watch)
    watch.tell('resumed', state, false)
    await eventually('it is told', () => over.length === 1)
    expect(over).toEqual([{ restored: false, generation: state.generation, signal: expect.any(AbortSignal) }])
    // Later restores are none of its business: it confirms them.
    watch.tell('generation', daemon.state(state.generation + 1), true)
    expect(await daemon.confirmed(watch)).toEqual([{ watcher: watch.id, generation: state.generation + 1 }])
    expect(over).toHaveLength(1)
  })

  it('is told in a copy before the generation is confirmed', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    let end = () => {}
    const afterwards = () => new Promise<void>((resolve) => (end = resolve))
    const { watch, state, over } = await hookOf(daemon, undefined, { afterwards })
    watch.tell('quiesce', daemon.planned(state, 1), false)
    await daemon.answered(watch)
    const next = state.generation + 1
    watch.tell('generation', daemon.state(next), true)
    await eventually('it is told', () => over.length === 1)
    expect(over).toEqual([{ restored: true, generation: next, signal: expect.any(AbortSignal) }])
    expect(daemon.confirms).toEqual([])
    end()
    expect(await daemon.confirmed(watch)).toEqual([{ watcher: watch.id, generation: next }])
    watch.tell('generation', daemon.state(next + 1), true)
    await daemon.confirmed(watch, 2)
    expect(over).toHaveLength(1)
  })

  it('in a copy is told again when a newer generation came before it was over', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const { watch, state, over } = await hookOf(daemon, undefined, {
      afterwards: ({ generation: of, signal }) => of === generation + 1 && once(signal, 'abort'),
    })
    watch.tell('quiesce', daemon.planned(state, 1), false)
    await daemon.answered(watch)
    watch.tell('generation', daemon.state(generation + 1), true)
    await eventually('it is told', () => over.length === 1)
    watch.tell('generation', daemon.state(generation + 2), true)
    expect(await daemon.confirmed(watch)).toEqual([{ watcher: watch.id, generation: generation + 2 }])
    expect(over.map((event) => [event.generation, event.signal.aborted])).toEqual([
      [generation + 1, true],
      [generation + 2, false],
    ])
  })

  it('whose work fails in a copy is reported', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const afterwards = () => Promise.reject(new Error('the pool is gone'))
    const { watch, state } = await hookOf(daemon, undefined, { afterwards })
    watch.tell('quiesce', daemon.planned(state, 1), false)
    await daemon.answered(watch)
    watch.tell('generation', daemon.state(generation + 1), true)
    const failure = 'the pool is gone'
    expect(await daemon.confirmed(watch)).toEqual([
      { watcher: watch.id, generation: generation + 1, failure },
    ])
  })

  it('aborts the handler that still runs, whose answer no longer counts', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const { watch, state, events, restored } = await hookOf(daemon, hang)
    watch.tell('quiesce', daemon.planned(state, 1), false)
    await eventually('it runs', () => events.length === 1)
    watch.tell('resumed', state, false)
    await eventually('it is told', () => restored().length === 1)
    expect(events[0]?.signal.aborted).toBe(true)
    watch.tell('quiesce', daemon.planned(state, 2), false)
    await eventually('it runs again', () => events.length === 2)
    watch.tell('generation', daemon.state(generation + 1), true)
    await daemon.confirmed(watch)
    expect(events[1]?.signal.aborted).toBe(true)
    expect(restored()).toEqual([false, true])
    expect(daemon.answers).toEqual([])
  })

  it('is none for a hook that was not asked yet', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const { watch, state, events, restored } = await hookOf(daemon)
    watch.tell('resumed', state, false)
    watch.tell('generation', daemon.state(generation + 1), true)
    await daemon.confirmed(watch)
    expect(events).toEqual([])
    expect(restored()).toEqual([])
  })

  it.each([
    ['the original', 'running', 0, [false]],
    ['an original that is adjusting', 'adjusting', 0, [false]],
    ['a copy', 'adjusting', 1, [true]],
  ] as const)('is found out after the connection was lost, in %s', async (_, phase, more, told) => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const { hook, watch, state, restored } = await hookOf(daemon)
    watch.tell('quiesce', daemon.planned(state, 1), false)
    await daemon.answered(watch)
    const again = await back(daemon, hook)
    const now = more ? daemon.state(generation + more, { phase }) : { ...state, phase }
    again.tell('registered', now, more > 0)
    await eventually('it is told', () => restored().length > 0)
    expect(restored()).toEqual(told)
    if (more) await daemon.confirmed(again)
  })

  it('is waited for in a copy in which the turn of the hook has not come', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const { hook, watch, state, restored } = await hookOf(daemon)
    watch.tell('quiesce', daemon.planned(state, 1), false)
    await daemon.answered(watch)
    const again = await back(daemon, hook)
    const next = daemon.state(generation + 1)
    again.tell('registered', next, false)
    await eventually('it is back', () => hook.connected)
    expect(restored()).toEqual([])
    again.tell('generation', next, true)
    await daemon.confirmed(again)
    expect(restored()).toEqual([true])
  })

  it('that was missed is told before the next preparation, which waits for what follows from it', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    let end = () => {}
    const { hook, watch, state, events, restored } = await hookOf(daemon, undefined, {
      afterwards: () => new Promise<void>((resolve) => (end = resolve)),
    })
    watch.tell('quiesce', daemon.planned(state, 1), false)
    await daemon.answered(watch)
    const again = await back(daemon, hook)
    const planned = daemon.planned(state, 2)
    again.tell('registered', planned, false)
    again.tell('quiesce', planned, false)
    await eventually('it is told', () => restored().length > 0)
    expect(events).toHaveLength(1)
    end()
    expect(await daemon.answered(again)).toEqual([{ watcher: again.id, quiesce: 2 }])
    expect(events).toHaveLength(2)
    expect(restored()).toEqual([false])
  })
})

describe('a hook before snapshots', () => {
  it('publishes how it ended, also where nobody else is told', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const published: unknown[] = []
    const listen = (message: unknown) => published.push(message)
    subscribe('snapsafe:hook', listen)
    const error = new Error('no')
    let runs = 0
    const { watch, state } = await hookOf(
      daemon,
      () => {
        runs += 1
        if (runs === 2) throw error
      },
      {
        afterwards: () => {
          if (runs === 2) throw error
        },
      },
    )
    for (const quiesce of [1, 2]) {
      watch.tell('quiesce', daemon.planned(state, quiesce), false)
      await daemon.answered(watch, quiesce)
      watch.tell('resumed', state, false)
      await eventually('both are published', () => published.length === 2 * quiesce)
    }
    unsubscribe('snapsafe:hook', listen)
    const about = { name: 'pool', generation }
    expect(published).toEqual([
      { ...about, outcome: 'prepared' },
      { ...about, outcome: 'resumed' },
      { ...about, outcome: 'vetoed', error },
      { ...about, outcome: 'failed', error },
    ])
  })

  it('leaves when it is closed while it is asked, and does nothing more', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const { hook, watch, state, events, restored } = await hookOf(daemon, hang)
    watch.tell('quiesce', daemon.planned(state, 1), false)
    await eventually('it runs', () => events.length === 1)
    hook.close()
    expect(events[0]?.signal.aborted).toBe(true)
    await eventually('it leaves', () => daemon.leaves.length === 1)
    await watch.ended
    expect(daemon.leaves).toEqual([{ watcher: watch.id }])
    expect(daemon.answers).toEqual([])
    expect(restored()).toEqual([])
  })

  it('is refused when it can never work', () => {
    const none = () => {}
    expect(() => beforeSnapshot(undefined as unknown as () => void)).toThrow(TypeError)
    expect(() => beforeSnapshot(none, { afterwards: 5 as unknown as () => void })).toThrow(TypeError)
    expect(() => beforeSnapshot(none, { timeoutMs: 0 })).toThrow(RangeError)
    expect(() => beforeSnapshot(none, { name: '' })).toThrow(RangeError)
  })
})
