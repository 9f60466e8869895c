import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { eventually } from '../../../test/support/eventually.ts'
import { ScriptedDaemon, type ScriptedWatch } from '../../../test/support/scripted-daemon.ts'
import { TestPage } from '../../../test/support/test-page.ts'
import type { RestoreEvent, RestoreHook, RestoreHookOptions } from './hook.ts'

// Without a page, these hooks know only what the daemon tells. What goes on with a real daemon is tested in test/integration.
const page = new TestPage({ create: false })
const { onRestore } = await import('./hooks.ts')
const { generation } = await import('./generation.ts')
const open: RestoreHook[] = []

afterEach(() => {
  for (const hook of open.splice(0)) hook.close()
})
afterAll(() => page[Symbol.dispose]())

/** A hook that keeps what it was told, and is closed when its test ends. */
function hookOf(
  name: string,
  handle: (event: RestoreEvent) => unknown = () => {},
  options: RestoreHookOptions = {},
) {
  const events: RestoreEvent[] = []
  const handler = (event: RestoreEvent) => {
    events.push(event)
    return handle(event)
  }
  const hook = onRestore(handler, { name, ...options })
  open.push(hook)
  return { hook, events, generations: () => events.map(({ generation }) => generation) }
}

describe('a hook and its daemon', () => {
  it('confirms once more when the daemon did not know, as it was registered, that the hook had adjusted', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    hookOf('first')
    const late = hookOf('late')
    const [first, second] = [await daemon.watch('first'), await daemon.watch('late')]
    first.tell('registered', daemon.state(10), false)
    const next = daemon.state(11)
    first.tell('generation', next, true)
    await daemon.confirmed(first)
    expect(late.generations()).toEqual([11])
    expect(daemon.confirms).toHaveLength(1)
    second.tell('registered', next, true)
    expect(await daemon.confirmed(second)).toEqual([{ watcher: second.id, generation: 11 }])
    expect(late.generations()).toEqual([11])
  })

  it('never goes back to a generation that a slower connection still tells of', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const fast = hookOf('fast')
    const slow = hookOf('slow')
    const [first, second] = [await daemon.watch('fast'), await daemon.watch('slow')]
    const [zero, one, two] = [daemon.state(20), daemon.state(21), daemon.state(22)]
    first.tell('registered', zero, false)
    second.tell('registered', zero, false)
    first.tell('generation', one, true)
    first.tell('generation', two, true)
    await daemon.confirmed(second)
    second.tell('generation', one, true)
    second.tell('generation', two, true)
    await daemon.confirmed(second, 2)
    expect(slow.generations().at(-1)).toBe(22)
    expect(slow.generations().filter((generation) => generation === 22)).toHaveLength(1)
    expect(fast.generations().at(-1)).toBe(22)
    expect(daemon.confirms.filter(({ watcher }) => watcher === second.id).at(-1)).toMatchObject({
      generation: 22,
    })
  })

  it('is not run for the generation in which it was registered', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const seen: number[] = []
    const { hook, events } = hookOf('early', () => seen.push(generation.number))
    const watch = await daemon.watch('early')
    watch.tell('registered', daemon.state(30), false)
    await hook.registered
    const other = hookOf('other')
    const second = await daemon.watch('other')
    second.tell('registered', daemon.state(30), false)
    await other.hook.registered
    watch.tell('generation', daemon.state(31), true)
    await daemon.confirmed(watch)
    expect(events).toMatchObject([{ generation: 31, previous: 30, cause: 'clone' }])
    // There is no page: what it was told is all that this process knows.
    expect(seen).toEqual([31])
  })

  it('is run for a generation that began before there was a daemon to tell of it', async () => {
    const { hook, events } = hookOf('alone')
    await eventually('the first attempt has failed', () => hook.problem !== undefined)
    expect(hook.problem?.message).toContain('ENOENT')
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const watch = await daemon.watch('alone')
    watch.tell('registered', daemon.state(1), true)
    await eventually('it runs', () => events.length === 1)
    expect(events).toMatchObject([{ generation: 1, previous: 0 }])
    expect(hook.problem).toBeUndefined()
  })

  it('confirms again after a passing refusal, and not after a final one', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    hookOf('stubborn')
    const watch = await daemon.watch('stubborn')
    watch.tell('registered', daemon.state(40), false)
    daemon.refusals.push('Internal', 'LimitReached')
    watch.tell('generation', daemon.state(41), true)
    await daemon.confirmed(watch, 3)
    daemon.refusals.push('StaleGeneration')
    watch.tell('generation', daemon.state(42), true)
    await daemon.confirmed(watch, 4)
    watch.tell('generation', daemon.state(43), true)
    const all = await daemon.confirmed(watch, 5)
    expect(all.map(({ generation }) => generation)).toEqual([41, 41, 41, 42, 43])
  })

  it('reports its failure again, without another run, to a daemon that asks anew', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const { events, hook } = hookOf('broken', () => Promise.reject(Object.create(null)))
    const watch = await daemon.watch('broken')
    watch.tell('registered', daemon.state(50), false)
    const next = daemon.state(51)
    watch.tell('generation', next, true)
    const failure = 'it did not say why'
    expect(await daemon.confirmed(watch)).toEqual([{ watcher: watch.id, generation: 51, failure }])
    await daemon.drop()
    await eventually('the loss is noticed', () => !hook.connected)
    const again = await daemon.watch('broken', 2)
    expect(again.parameters.adjustedTo).toBe(50)
    again.tell('registered', next, true)
    expect(await daemon.confirmed(again)).toEqual([{ watcher: again.id, generation: 51, failure }])
    expect(events).toHaveLength(1)
  })

  it('asks for the time of all who run before it, and to say that it was not enough', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    hookOf('one', undefined, { timeoutMs: 100.5 })
    hookOf('first', undefined, { timeoutMs: 3000, stage: 'network' })
    hookOf('two', undefined, { timeoutMs: 2000, tracked: false })
    const about = { beforeSnapshot: false, registeredAtUsec: expect.any(Number) }
    const [one, first, two] = [
      await daemon.watch('one'),
      await daemon.watch('first'),
      await daemon.watch('two'),
    ]
    expect(one.parameters).toEqual({
      ...about,
      name: 'one',
      tracked: true,
      deadlineMs: 1101,
      stage: 'application',
    })
    expect(first.parameters).toMatchObject({ deadlineMs: 4000, stage: 'network' })
    expect(two.parameters).toMatchObject({ tracked: false, deadlineMs: 3101 })
  })
})

describe('a hook of a stage', () => {
  it('runs when its stage has begun: those of a stage in the order of registration', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const order: string[] = []
    const told = daemon.state(70)
    const watches: Record<string, ScriptedWatch> = {}
    for (const [name, stage] of [
      ['app', undefined],
      ['net', 'network'],
      ['id', 'identity'],
      ['last', 'application'],
    ] as const) {
      const { hook } = hookOf(name, () => order.push(name), { stage })
      const watch = await daemon.watch(name)
      watch.tell('registered', told, false)
      await hook.registered
      watches[name] = watch
    }
    const { app, net, id, last } = watches as Record<'app' | 'net' | 'id' | 'last', ScriptedWatch>
    const next = daemon.state(71)
    id.tell('generation', next, true)
    await daemon.confirmed(id)
    net.tell('generation', next, true)
    await daemon.confirmed(net)
    expect(order).toEqual(['id', 'net'])
    app.tell('generation', next, true)
    await daemon.confirmed(last)
    expect(order).toEqual(['id', 'net', 'app', 'last'])
    // A later generation begins with its first stage again.
    const second = daemon.state(72)
    id.tell('generation', second, true)
    await daemon.confirmed(id, 2)
    // Told of the latest only, as after a connection was lost: the hooks of earlier stages run before.
    last.tell('generation', second, true)
    await daemon.confirmed(last, 2)
    expect(order.slice(4)).toEqual(['id', 'net', 'app', 'last'])
  })

  it('waits for those of an earlier stage that still run', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    let end = () => {}
    const early = hookOf('early', () => new Promise<void>((resolve) => (end = resolve)), {
      stage: 'identity',
    })
    const late = hookOf('late')
    const [first, second] = [await daemon.watch('early'), await daemon.watch('late')]
    const told = daemon.state(80)
    first.tell('registered', told, false)
    second.tell('registered', told, false)
    await Promise.all([early.hook.registered, late.hook.registered])
    const next = daemon.state(81)
    first.tell('generation', next, true)
    await eventually('the first runs', () => early.events.length === 1)
    second.tell('generation', next, true)
    // A connection of its own, so that all that was sent before has been read when this is.
    const other = hookOf('other')
    const third = await daemon.watch('other')
    third.tell('registered', next, false)
    await other.hook.registered
    expect(late.events).toEqual([])
    end()
    await daemon.confirmed(second)
    expect(daemon.confirms.map(({ watcher }) => watcher)).toEqual([first.id, second.id])
  })

  it('that comes back before its stage has begun waits to be told', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const { hook, generations } = hookOf('patient')
    const watch = await daemon.watch('patient')
    watch.tell('registered', daemon.state(90), false)
    await hook.registered
    await daemon.drop()
    const again = await daemon.watch('patient', 2)
    expect(again.parameters.registeredAtUsec).toBe(watch.parameters.registeredAtUsec)
    const next = daemon.state(91)
    again.tell('registered', next, false)
    await eventually('it is back', () => hook.connected)
    expect(generations()).toEqual([])
    again.tell('generation', next, true)
    await daemon.confirmed(again)
    expect(generations()).toEqual([91])
  })
})

describe('a hook that is closed', () => {
  it('says that it leaves when it owes something, and not when it does not', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const even = hookOf('even')
    const owing = hookOf('owing', () => new Promise(() => {}))
    const [first, second] = [await daemon.watch('even'), await daemon.watch('owing')]
    const told = daemon.state(95)
    first.tell('registered', told, false)
    second.tell('registered', told, false)
    await Promise.all([even.hook.registered, owing.hook.registered])
    first.tell('generation', daemon.state(96), true)
    await daemon.confirmed(first)
    await eventually('the other runs', () => owing.events.length === 1)
    // The connection of a confirmation is closed when the answer has come.
    await eventually('only the watches are left', () => daemon.connections === 2)
    for (const { hook } of [even, owing]) hook.close()
    await eventually('one leaves', () => daemon.leaves.length > 0)
    await Promise.all([first.ended, second.ended])
    expect(daemon.leaves).toEqual([{ watcher: second.id }])
  })

  it('leaves also when its stage has not begun', async () => {
    await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
    const early = hookOf('early', undefined, { stage: 'identity' })
    const late = hookOf('late')
    const [first, second] = [await daemon.watch('early'), await daemon.watch('late')]
    const told = daemon.state(97)
    first.tell('registered', told, false)
    second.tell('registered', told, false)
    await Promise.all([early.hook.registered, late.hook.registered])
    first.tell('generation', daemon.state(98), true)
    await daemon.confirmed(first)
    late.hook.close()
    await eventually('it leaves', () => daemon.leaves.length > 0)
    expect(daemon.leaves).toEqual([{ watcher: second.id }])
  })
})

describe('a hook', () => {
  it('is refused when it can never work', () => {
    const none = () => {}
    expect(() => onRestore(undefined as unknown as () => void)).toThrow(TypeError)
    expect(() => onRestore(none, { name: 5 as unknown as string })).toThrow(TypeError)
    for (const name of ['', 'x'.repeat(129), 'a\nb', '\u001b[31m', '\u202e']) {
      expect(() => onRestore(none, { name })).toThrow(RangeError)
    }
    for (const timeoutMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31]) {
      expect(() => onRestore(none, { timeoutMs })).toThrow(RangeError)
    }
    expect(() => onRestore(none, { stage: 'later' as 'network' })).toThrow('identity, network, application')
    const reason = new Error('over')
    expect(() => onRestore(none, { signal: AbortSignal.abort(reason) })).toThrow(reason)
  })

  it('has a name by default that tells program and number', () => {
    const [first, second] = [onRestore(() => {}), onRestore(() => {})]
    open.push(first, second)
    expect(first.name).toMatch(/^\S+#\d+$/)
    expect(second.name).not.toBe(first.name)
  })

  it('is closed by its signal, also when many share one', async () => {
    const warnings: Error[] = []
    const listen = (warning: Error) => warnings.push(warning)
    process.on('warning', listen)
    const over = new AbortController()
    const hooks = Array.from(
      { length: 50 },
      (_, i) => hookOf(`h${i}`, undefined, { signal: over.signal }).hook,
    )
    const reason = new Error('over')
    const waiting = hooks.map(({ registered }) => registered)
    over.abort(reason)
    const outcomes = await Promise.allSettled(waiting)
    expect(outcomes).toEqual(hooks.map(() => ({ status: 'rejected', reason })))
    // Warnings are emitted in a later turn.
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', listen)
    expect(warnings).toEqual([])
  })

  it('says to those who wait for its registration that it was closed before, and can be closed twice', async () => {
    const { hook } = hookOf('closed')
    const waiting = hook.registered
    hook.close()
    hook.close()
    hook[Symbol.dispose]()
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' })
    expect(Object.isFrozen(hook)).toBe(true)
  })
})
