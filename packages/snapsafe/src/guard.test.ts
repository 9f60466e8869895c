import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { TestPage } from '../../../test/support/test-page.ts'
import { loadNative } from './native.ts'

const page = new TestPage()
const { guard, GenerationUnstableError } = await import('./guard.ts')
afterAll(() => page[Symbol.dispose]())

/** A function that moves the generation in its first `times` runs, and what it was called with. */
function moving<T>(times: number, then: (run: number) => T) {
  const seen: number[] = []
  const fn = (generation: number): T => {
    seen.push(generation)
    if (seen.length <= times) page.bump()
    return then(seen.length)
  }
  return { fn, seen }
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail('it was not rejected'),
    (error: unknown) => error,
  )
}

describe('a guard', () => {
  it('runs a function once and returns its result when nothing moved', () => {
    const { fn, seen } = moving(0, () => 'made')
    expect(guard(fn)).toBe('made')
    expect(seen).toEqual([page.generation])
  })

  it('runs it again when the generation moved while it ran, and returns the later result', () => {
    const before = page.generation
    const { fn, seen } = moving(2, (run) => run)
    expect(guard(fn)).toBe(3)
    expect(seen).toEqual([before, before + 1, before + 2])
  })

  it('takes any other generation for a move, also a jump', () => {
    let runs = 0
    guard(() => {
      runs += 1
      if (runs === 1) page.bump(page.generation + 1000)
    })
    expect(runs).toBe(2)
  })

  it('runs an asynchronous function again when the generation moved before it settled', async () => {
    const before = page.generation
    const seen: number[] = []
    const made = guard(async (generation) => {
      seen.push(generation)
      await Promise.resolve()
      if (seen.length === 1) page.bump()
      return seen.length
    })
    expect(made).toBeInstanceOf(Promise)
    expect(await made).toBe(2)
    expect(seen).toEqual([before, before + 1])
  })

  it('throws on the very error of the function when nothing moved', async () => {
    const error = new Error('wrong')
    let runs = 0
    const fail = (): never => {
      runs += 1
      throw error
    }
    expect(() => guard(fail)).toThrow(error)
    expect(await rejection(guard(async () => fail()))).toBe(error)
    expect(runs).toBe(2)
  })

  it('runs a function again that failed while the generation moved', async () => {
    const sync = moving(1, (run) => {
      if (run === 1) throw new Error('of the past')
      return run
    })
    expect(guard(sync.fn)).toBe(2)
    const rejected = moving(1, async (run) => {
      if (run === 1) throw new Error('of the past')
      return run
    })
    expect(await guard(rejected.fn)).toBe(2)
  })

  it('looks at a synchronous throw of an asynchronous function like at a rejection', async () => {
    const { fn, seen } = moving(2, (run) => {
      if (run === 2) throw new Error('of the past')
      return Promise.resolve(run)
    })
    expect(await guard(fn)).toBe(3)
    expect(seen).toHaveLength(3)
    const last = moving(1, (run) => {
      if (run === 2) throw new Error('of now')
      return Promise.resolve(run)
    })
    await expect(guard(last.fn)).rejects.toThrow('of now')
  })

  it.each([1, 3, 8])('gives up after %i runs, each of which saw the generation move', async (attempts) => {
    const options = attempts === 8 ? {} : { attempts }
    const sync = moving(Number.POSITIVE_INFINITY, () => 'thrown away')
    expect(() => guard(sync.fn, options)).toThrow(GenerationUnstableError)
    expect(sync.seen).toHaveLength(attempts)
    const async = moving(Number.POSITIVE_INFINITY, async () => 'thrown away')
    const error = await rejection(guard(async.fn, options))
    expect(error).toBeInstanceOf(GenerationUnstableError)
    expect(error).toMatchObject({ code: 'ERR_SNAPSAFE_GENERATION_UNSTABLE' })
    expect((error as Error).message).toContain(`each of ${attempts} runs`)
    expect(error).not.toHaveProperty('cause')
    expect(async.seen).toHaveLength(attempts)
  })

  it('counts runs that threw and runs that gave a promise together, and keeps the last error as the cause', async () => {
    const { fn, seen } = moving(Number.POSITIVE_INFINITY, (run) => {
      if (run === 1) throw new Error('the first')
      return Promise.reject(new Error(`run ${run}`))
    })
    const error = await rejection(guard(fn, { attempts: 3 }))
    expect(error).toMatchObject({ name: 'GenerationUnstableError', cause: { message: 'run 3' } })
    expect((error as Error).message).toContain('each of 3 runs')
    expect(seen).toHaveLength(3)
  })

  it('does not begin when its signal is aborted, and stops between two runs', async () => {
    const reason = new Error('enough')
    const { fn, seen } = moving(0, () => 1)
    expect(() => guard(fn, { signal: AbortSignal.abort(reason) })).toThrow(reason)
    expect(seen).toEqual([])

    const stop = new AbortController()
    const again = moving(1, (run) => {
      stop.abort(reason)
      return run
    })
    expect(() => guard(again.fn, { signal: stop.signal })).toThrow(reason)
    expect(again.seen).toHaveLength(1)
    const stopLater = new AbortController()
    const later = moving(1, async (run) => {
      stopLater.abort(reason)
      return run
    })
    expect(await rejection(guard(later.fn, { signal: stopLater.signal }))).toBe(reason)
    expect(later.seen).toHaveLength(1)
  })

  it('keeps a result that was made although its signal is aborted meanwhile', () => {
    const stop = new AbortController()
    const made = guard(
      () => {
        stop.abort()
        return 'made'
      },
      { signal: stop.signal },
    )
    expect(made).toBe('made')
  })

  it('runs the outer function again when the generation moved in an inner one', () => {
    let outer = 0
    const inner = moving(1, (run) => run)
    const made = guard(() => {
      outer += 1
      return guard(inner.fn)
    })
    expect(made).toBe(3)
    expect(outer).toBe(2)
  })

  it('awaits whatever has a then, also a function, and returns a real promise', async () => {
    let runs = 0
    const thenable = {
      // biome-ignore lint/suspicious/noThenProperty: this is what is tested
      then<R>(resolve: (value: number) => R): R {
        runs += 1
        if (runs === 1) page.bump()
        return resolve(runs)
      },
    }
    const made = guard(() => thenable as PromiseLike<number>)
    expect(made).toBeInstanceOf(Promise)
    expect(await made).toBe(2)
    const callable = Object.assign(() => 0, thenable)
    expect(await guard(() => callable as unknown as PromiseLike<number>)).toBe(3)
  })

  describe('in a system that is quiesced for a snapshot', () => {
    afterEach(() => page.enter('running'))

    it('gives no result, says why, and makes the randomness new before each run', async () => {
      const { addon } = loadNative()
      page.enter('quiesced')
      const before = addon?.openSSLReseedCount() as number
      const counts: (number | undefined)[] = []
      const count = () => counts.push(addon?.openSSLReseedCount())
      const quiesced = { name: 'GenerationUnstableError', message: expect.stringContaining('is quiesced') }
      expect(() => guard(count, { attempts: 3 })).toThrow(expect.objectContaining(quiesced))
      expect(await rejection(guard(async () => count(), { attempts: 2 }))).toMatchObject(quiesced)
      expect(counts).toEqual([1, 2, 3, 4, 5].map((more) => before + more))
    })

    it('runs a function again during which that began, and keeps a result during which it ended without a restore', async () => {
      const phases = ['quiesced', 'running'] as const
      const { fn, seen } = moving(0, (run) => {
        page.enter(phases[run - 1] ?? 'running')
        return run
      })
      expect(guard(fn)).toBe(2)
      expect(seen).toEqual([page.generation, page.generation])
      seen.length = 0
      expect(await guard(async (made) => fn(made))).toBe(2)
    })

    it('throws away the result of a copy', () => {
      page.enter('quiesced')
      const { fn, seen } = moving(1, (run) => {
        page.enter('running')
        return run
      })
      expect(guard(fn)).toBe(2)
      expect(seen).toEqual([page.generation - 1, page.generation])
    })
  })

  it('refuses what cannot work', () => {
    for (const attempts of [0, -1, Number.NaN]) expect(() => guard(() => 1, { attempts })).toThrow(RangeError)
    expect(() => guard(undefined as unknown as () => 1)).toThrow(TypeError)
    expect(guard(() => 1, { attempts: undefined, signal: undefined })).toBe(1)
  })

  it('makes the randomness new before each run in a new generation, and only then', () => {
    const { addon } = loadNative()
    const counts: (number | undefined)[] = []
    const renewed: unknown[] = []
    const listen = (message: unknown) => renewed.push(message)
    subscribe('snapsafe:renewed', listen)
    const first = addon?.openSSLReseedCount() as number
    const { fn } = moving(1, () => counts.push(addon?.openSSLReseedCount()))
    page.bump()
    guard(fn)
    guard(fn)
    unsubscribe('snapsafe:renewed', listen)
    expect(counts).toEqual([first + 1, first + 2, first + 2])
    expect(renewed).toEqual([
      { generation: page.generation - 1, reseeded: true },
      { generation: page.generation, reseeded: true },
    ])
  })
})
