import { describe, expectTypeOf, it } from 'vitest'
import {
  beforeSnapshot,
  type Cause,
  type Generation,
  generation,
  guard,
  onRestore,
  type PerGenerationOptions,
  ProtectedMemory,
  type ProtectedMemoryClosedError,
  type ProtectedMemoryUnsupportedError,
  ProtectedMemoryWipedError,
  perGeneration,
  type Readiness,
  type RestoreEvent,
  type RestoreHook,
  type RestoreHookOptions,
  ready,
  type SnapshotEvent,
  type SnapshotHookOptions,
  type SnapshotOverEvent,
  type Stage,
} from './index.ts'

interface Key {
  readonly bytes: string
}
declare const key: Key
declare const query: PromiseLike<Key> & { readonly sql: string }
declare const untyped: ReturnType<typeof JSON.parse>

describe('generation', () => {
  it('is read only', () => {
    expectTypeOf(generation).toEqualTypeOf<Generation>()
    expectTypeOf(generation.number).toEqualTypeOf<number>()
    expectTypeOf(generation.id).toEqualTypeOf<string | undefined>()
    expectTypeOf(generation.reason).toEqualTypeOf<string | undefined>()
    expectTypeOf(generation.page).toEqualTypeOf<'mapped' | 'read' | 'none'>()
    expectTypeOf(generation.missing).toEqualTypeOf<readonly string[]>()
    expectTypeOf(generation.changedSince).toEqualTypeOf<(seen: number) => boolean>()
    // @ts-expect-error: nobody sets the generation
    generation.number = 1
    // @ts-expect-error: nor says what is missing
    generation.missing.push('nothing')
    // @ts-expect-error: a generation is compared with the number that was read before, not with an id
    generation.changedSince(generation.id)
  })
})

describe('guard', () => {
  it('gives what the function gives, and a promise for a promise', () => {
    expectTypeOf(guard(() => key)).toEqualTypeOf<Key>()
    expectTypeOf(guard((made) => made)).toEqualTypeOf<number>()
    expectTypeOf(guard(async () => key)).toEqualTypeOf<Promise<Key>>()
    expectTypeOf(guard(() => Promise.resolve(Promise.resolve(key)))).toEqualTypeOf<Promise<Key>>()
    expectTypeOf(guard(() => {})).toEqualTypeOf<void>()
    expectTypeOf(guard((made) => made > 1)).toEqualTypeOf<boolean>()
    expectTypeOf(guard(() => untyped)).toBeAny()
    expectTypeOf(
      guard(() => {
        throw new Error('always')
      }),
    ).toBeNever()
  })

  it('gives a promise for whatever has a then, and not the thing itself', () => {
    expectTypeOf(guard(() => query)).toEqualTypeOf<Promise<Key>>()
    // @ts-expect-error: it was awaited
    guard(() => query).sql
    expectTypeOf(guard((made): Key | Promise<Key> => (made ? key : Promise.resolve(key)))).toEqualTypeOf<
      Key | Promise<Key>
    >()
  })

  it('takes a signal that may be undefined, and refuses what it does not know', () => {
    const signal = undefined as AbortSignal | undefined
    guard(() => key, { signal, attempts: undefined })
    // @ts-expect-error: a number
    guard(() => key, { attempts: '3' })
    // @ts-expect-error: misspelt
    guard(() => key, { attempt: 3 })
    // @ts-expect-error: not the controller
    guard(() => key, { signal: new AbortController() })
    // @ts-expect-error: a function
    guard(key)
    // @ts-expect-error: the function is given the generation and nothing else
    guard((_made: number, _more: string) => key)
    // @ts-expect-error: which is a number
    guard((_made: string) => key)
  })
})

describe('perGeneration', () => {
  it('gives a function for the value, or for a promise of it', () => {
    expectTypeOf(perGeneration(() => key)).toEqualTypeOf<() => Key>()
    expectTypeOf(perGeneration(async () => key)).toEqualTypeOf<() => Promise<Key>>()
    expectTypeOf(perGeneration(() => query)).toEqualTypeOf<() => Promise<Key>>()
    expectTypeOf(perGeneration((made) => made)).toEqualTypeOf<() => number>()
    // @ts-expect-error: it is a promise
    perGeneration(async () => key)().bytes
    // @ts-expect-error: nothing is passed to the value
    perGeneration(() => key)(1)
  })

  it('discards the value itself, not a promise of it', () => {
    perGeneration(() => key, { discard: (old) => expectTypeOf(old).toEqualTypeOf<Key>() })
    perGeneration(async () => key, { discard: (old) => expectTypeOf(old).toEqualTypeOf<Key>() })
    perGeneration(() => query, { discard: async (old) => expectTypeOf(old).toEqualTypeOf<Key>() })
    perGeneration(() => key, { discard: undefined })
    // @ts-expect-error: the value is a Key
    perGeneration(async () => key, { discard: (_: string) => {} })
    // @ts-expect-error: never a promise
    perGeneration(async () => key, { discard: (_: Promise<Key>) => {} })
    // @ts-expect-error: misspelt
    perGeneration(() => key, { dispose: () => {} })
    expectTypeOf<Parameters<NonNullable<PerGenerationOptions<Promise<Key>>['discard']>>>().toEqualTypeOf<
      [Key]
    >()
  })
})

describe('onRestore', () => {
  it('gives the handler an event that it cannot change', () => {
    onRestore((event) => {
      expectTypeOf(event).toEqualTypeOf<RestoreEvent>()
      expectTypeOf(event.generation).toEqualTypeOf<number>()
      expectTypeOf(event.previous).toEqualTypeOf<number>()
      expectTypeOf(event.id).toEqualTypeOf<string>()
      expectTypeOf(event.cause).toEqualTypeOf<Cause>()
      expectTypeOf(event.signal).toEqualTypeOf<AbortSignal>()
      // @ts-expect-error: read only
      event.generation = 1
    })
    expectTypeOf<Cause>().toEqualTypeOf<'boot' | 'clone' | 'ambiguous' | 'command' | 'host'>()
  })

  it('takes handlers of any result', () => {
    onRestore(() => {})
    onRestore(async () => key)
    onRestore(() => query)
    // @ts-expect-error: a function
    onRestore(key)
    // @ts-expect-error: the event is no number
    onRestore((_: number) => {})
  })

  it('takes options that may be undefined, and refuses what it does not know', () => {
    const signal = undefined as AbortSignal | undefined
    onRestore(() => {}, {
      name: undefined,
      timeoutMs: undefined,
      tracked: undefined,
      stage: undefined,
      signal,
    })
    expectTypeOf<Stage>().toEqualTypeOf<'identity' | 'network' | 'application'>()
    onRestore(() => {}, { stage: 'network' })
    // @ts-expect-error: no such stage
    onRestore(() => {}, { stage: 'storage' })
    expectTypeOf<RestoreHookOptions['timeoutMs']>().toEqualTypeOf<number | undefined>()
    // @ts-expect-error: milliseconds, as a number
    onRestore(() => {}, { timeoutMs: '5s' })
    // @ts-expect-error: misspelt
    onRestore(() => {}, { timeout: 5000 })
    // @ts-expect-error: null is no signal
    onRestore(() => {}, { signal: null })
    // @ts-expect-error: options, not a name
    onRestore(() => {}, 'pool')
  })

  it('gives a hook that can be read, awaited and closed, and nothing else', () => {
    const hook = onRestore(() => {})
    expectTypeOf(hook).toEqualTypeOf<RestoreHook>()
    expectTypeOf(hook.name).toEqualTypeOf<string>()
    expectTypeOf(hook.connected).toEqualTypeOf<boolean>()
    expectTypeOf(hook.problem).toEqualTypeOf<Error | undefined>()
    expectTypeOf(hook.registered).toEqualTypeOf<Promise<void>>()
    expectTypeOf(hook.close).toEqualTypeOf<() => void>()
    expectTypeOf(hook).toExtend<Disposable>()
    // @ts-expect-error: read only
    hook.name = 'other'
    // @ts-expect-error: read only
    hook.connected = true
    // @ts-expect-error: read only
    hook.problem = undefined
    // @ts-expect-error: the hook itself is no promise
    hook.then
  })
})

describe('beforeSnapshot', () => {
  it('gives the handler, and what runs afterwards, events that they cannot change', () => {
    const hook = beforeSnapshot(
      (event) => {
        expectTypeOf(event).toEqualTypeOf<SnapshotEvent>()
        expectTypeOf(event.reason).toEqualTypeOf<string | undefined>()
        expectTypeOf(event.deadlineUsec).toEqualTypeOf<number>()
        expectTypeOf(event.signal).toEqualTypeOf<AbortSignal>()
        // @ts-expect-error: read only
        event.reason = 'mine'
      },
      {
        afterwards(event) {
          expectTypeOf(event).toEqualTypeOf<SnapshotOverEvent>()
          expectTypeOf(event.restored).toEqualTypeOf<boolean>()
          expectTypeOf(event.generation).toEqualTypeOf<number>()
          expectTypeOf(event.signal).toEqualTypeOf<AbortSignal>()
          // @ts-expect-error: a hook that has prepared is not told why
          event.cause
        },
      },
    )
    expectTypeOf(hook).toEqualTypeOf<RestoreHook>()
  })

  it('takes the options of a hook, and refuses what it does not know', () => {
    const signal = undefined as AbortSignal | undefined
    beforeSnapshot(() => {}, { name: 'pool', timeoutMs: 5, signal, stage: 'identity', afterwards: undefined })
    beforeSnapshot(async () => key, { afterwards: async () => key })
    expectTypeOf<SnapshotHookOptions['stage']>().toEqualTypeOf<Stage | undefined>()
    // @ts-expect-error: it is always waited for
    beforeSnapshot(() => {}, { tracked: false })
    // @ts-expect-error: a function
    beforeSnapshot(() => {}, { afterwards: true })
    // @ts-expect-error: a handler
    beforeSnapshot({ afterwards: () => {} })
  })
})

describe('ready', () => {
  it('is a promise of how the machine is ready', () => {
    expectTypeOf(ready()).toEqualTypeOf<Promise<Readiness>>()
    expectTypeOf<Readiness['missed']>().toEqualTypeOf<readonly string[]>()
    expectTypeOf<Readiness>().toExtend<{ generation: number; id: string; degraded: boolean }>()
    void ready({ timeoutMs: undefined, signal: undefined })
    // @ts-expect-error: options
    void ready(5000)
    // @ts-expect-error: milliseconds
    void ready({ timeoutMs: '5s' })
  })
})

describe('ProtectedMemory', () => {
  const memory = ProtectedMemory.create(32)

  it('is created, with a signal or without', () => {
    expectTypeOf(memory).toEqualTypeOf<ProtectedMemory>()
    expectTypeOf(memory).toExtend<Disposable>()
    ProtectedMemory.create(32, { signal: undefined as AbortSignal | undefined })
    // @ts-expect-error: by `create`
    new ProtectedMemory(32)
    // @ts-expect-error: how much is not known
    ProtectedMemory.create()
    // @ts-expect-error: it makes no secret by itself
    ProtectedMemory.create(new Uint8Array(32))
    // @ts-expect-error: not the controller
    ProtectedMemory.create(32, { signal: new AbortController() })
  })

  it('gives what the function gives, and a promise for a promise', () => {
    expectTypeOf(memory.use((secret) => secret.length)).toEqualTypeOf<number>()
    expectTypeOf(memory.use(() => key)).toEqualTypeOf<Key>()
    expectTypeOf(memory.use(async () => key)).toEqualTypeOf<Promise<Key>>()
    expectTypeOf(memory.use(() => query)).toEqualTypeOf<Promise<Key>>()
    expectTypeOf(memory.use(() => {})).toEqualTypeOf<void>()
    memory.use((secret) => expectTypeOf(secret).toExtend<Uint8Array>())
    // @ts-expect-error: the secret is bytes
    memory.use((_: string) => {})
    // @ts-expect-error: a function
    memory.use(key)
  })

  it('takes bytes, and an offset', () => {
    expectTypeOf(memory.write(new Uint8Array(32))).toEqualTypeOf<void>()
    memory.write(Buffer.alloc(16), 16)
    // @ts-expect-error: no text
    memory.write('secret')
    // @ts-expect-error: no words
    memory.write(new Uint32Array(8))
  })

  it('can be looked at, awaited and closed, and not be read', () => {
    expectTypeOf(memory.state).toEqualTypeOf<'empty' | 'intact' | 'wiped'>()
    expectTypeOf(memory.length).toEqualTypeOf<number>()
    expectTypeOf(memory.locked).toEqualTypeOf<boolean>()
    expectTypeOf(memory.protectedByDaemon).toEqualTypeOf<boolean>()
    expectTypeOf(memory.problem).toEqualTypeOf<Error | undefined>()
    expectTypeOf(memory.registered).toEqualTypeOf<Promise<void>>()
    expectTypeOf(memory.close).toEqualTypeOf<() => void>()
    // @ts-expect-error: read only
    memory.state = 'intact'
    // @ts-expect-error: not an array
    memory[0]
  })

  it('has errors that can be told apart', () => {
    expectTypeOf<ProtectedMemoryWipedError['code']>().toEqualTypeOf<'ERR_SNAPSAFE_MEMORY_WIPED'>()
    expectTypeOf<ProtectedMemoryUnsupportedError['code']>().toEqualTypeOf<'ERR_SNAPSAFE_MEMORY_UNSUPPORTED'>()
    expectTypeOf<ProtectedMemoryClosedError['code']>().toEqualTypeOf<'ERR_SNAPSAFE_MEMORY_CLOSED'>()
    expectTypeOf(ProtectedMemoryWipedError).instance.toExtend<Error>()
  })
})
