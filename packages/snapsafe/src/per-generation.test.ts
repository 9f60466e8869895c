import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterAll, describe, expect, it } from 'vitest'
import { eventually } from '../../../test/support/eventually.ts'
import { TestPage } from '../../../test/support/test-page.ts'
import { loadNative } from './native.ts'

const page = new TestPage()
const { perGeneration } = await import('./per-generation.ts')
const { GenerationUnstableError } = await import('./guard.ts')
afterAll(() => page[Symbol.dispose]())

/** A promise that the test settles. */
function deferred<T>() {
  let settle = { resolve: (_: T) => {}, reject: (_: unknown) => {} }
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject }
  })
  return { promise, ...settle }
}

describe('a value of a generation', () => {
  it('is not made before somebody asks, is the same in a generation, and another in the next', () => {
    const made: number[] = []
    const value = perGeneration((generation) => {
      made.push(generation)
      return { generation }
    })
    expect(made).toEqual([])
    const first = value()
    expect(value()).toBe(first)
    page.bump()
    page.bump()
    const second = value()
    expect(second).not.toBe(first)
    expect(second.generation).toBe(page.generation)
    expect(value()).toBe(second)
    expect(made).toEqual([first.generation, second.generation])
  })

  it('may be undefined, and is kept all the same', () => {
    let made = 0
    const value = perGeneration(() => {
      made += 1
    })
    value()
    value()
    expect(made).toBe(1)
  })

  it('is made anew when the generation moved while it was made', () => {
    let runs = 0
    const value = perGeneration(() => {
      runs += 1
      if (runs === 1) page.bump()
      return runs
    })
    expect(value()).toBe(2)
    expect(value()).toBe(2)
  })

  it('is made with new randomness', () => {
    const count = () => loadNative().addon?.openSSLReseedCount() as number
    const value = perGeneration(count)
    const first = value()
    page.bump()
    expect(value()).toBe(first + 1)
  })

  it('is not kept when its factory throws; the next call tries again', () => {
    let runs = 0
    const value = perGeneration(() => {
      runs += 1
      if (runs === 2) throw new Error('not today')
      return runs
    })
    expect(value()).toBe(1)
    page.bump()
    expect(value).toThrow('not today')
    expect(value()).toBe(3)
    expect(value()).toBe(3)
  })

  it('is not made while the generation never stays; the next call tries again', () => {
    let restless = true
    const value = perGeneration(() => {
      if (restless) page.bump()
      return 'made'
    })
    expect(value).toThrow(GenerationUnstableError)
    restless = false
    expect(value()).toBe('made')
  })

  it('is not given while the system is quiesced for a snapshot, and is another afterwards for those who asked', async () => {
    const discarded: number[] = []
    let runs = 0
    const factory = () => {
      runs += 1
      return runs
    }
    const asked = perGeneration(factory, { discard: (old) => discarded.push(old) })
    const left = perGeneration(() => ({}))
    const [first, kept] = [asked(), left()]
    page.enter('quiesced')
    expect(asked).toThrow(GenerationUnstableError)
    page.enter('running')
    expect(asked()).toBe(runs)
    expect(left()).toBe(kept)
    await eventually('all but the last are discarded', () => discarded.length === runs - 1)
    expect(discarded).toContain(first)
    expect(discarded).not.toContain(runs)
  })

  it('tells a factory that asks for its own value, and is not stuck afterwards', () => {
    let recursive = true
    const value: () => number = perGeneration((): number => (recursive ? value() : 1))
    expect(value).toThrow('asked for that very value')
    recursive = false
    expect(value()).toBe(1)
  })

  it('may be made of another one', () => {
    const key = perGeneration((generation) => `key ${generation}`)
    const signer = perGeneration(() => `signer with ${key()}`)
    expect(signer()).toBe(`signer with key ${page.generation}`)
    page.bump()
    expect(signer()).toBe(`signer with key ${page.generation}`)
  })
})

describe('an asynchronous value of a generation', () => {
  it('is one promise in a generation, and another in the next', async () => {
    const value = perGeneration(async (generation) => generation)
    const first = value()
    expect(value()).toBe(first)
    await first
    expect(value()).toBe(first)
    page.bump()
    const second = value()
    expect(second).not.toBe(first)
    expect(await second).toBe(page.generation)
  })

  it('stays one promise while it is pending across a restore, and settles to the value of the new generation', async () => {
    const runs = [deferred<string>(), deferred<string>()]
    const seen: number[] = []
    const value = perGeneration((generation) => runs[seen.push(generation) - 1]?.promise as Promise<string>)
    const old = page.generation
    const promise = value()
    page.bump()
    expect(value()).toBe(promise)
    runs[0]?.resolve('of the past')
    await eventually('the factory runs again', () => seen.length === 2)
    expect(value()).toBe(promise)
    runs[1]?.resolve('of now')
    expect(await promise).toBe('of now')
    expect(seen).toEqual([old, page.generation])
    expect(value()).toBe(promise)
  })

  it('is not kept when it is rejected', async () => {
    let runs = 0
    const value = perGeneration(async () => {
      runs += 1
      if (runs === 1) throw new Error('not today')
      return runs
    })
    const failing = value()
    expect(value()).toBe(failing)
    await expect(failing).rejects.toThrow('not today')
    expect(await value()).toBe(2)
    expect(await value()).toBe(2)
  })
})

describe('the discarding of values', () => {
  it('gives each value of the past away once', async () => {
    const discarded: string[] = []
    const value = perGeneration((generation) => `value ${generation}`, { discard: (v) => discarded.push(v) })
    const first = value()
    value()
    page.bump()
    const second = value()
    value()
    page.bump()
    value()
    await eventually('both were discarded', () => discarded.length === 2)
    expect(discarded).toEqual([first, second])
  })

  it('awaits a promise first, and never gives away one that was rejected', async () => {
    const discarded: number[] = []
    let runs = 0
    const value = perGeneration(
      async () => {
        runs += 1
        if (runs === 2) throw new Error('not today')
        return runs
      },
      { discard: (v) => discarded.push(v) },
    )
    await value()
    page.bump()
    await expect(value()).rejects.toThrow('not today')
    await value()
    page.bump()
    await value()
    await eventually('two were discarded', () => discarded.length === 2)
    expect(discarded).toEqual([1, 3])
  })

  it('includes the old value when its successor cannot be made, and what was thrown away while it was made', async () => {
    const discarded: number[] = []
    let runs = 0
    const value = perGeneration(
      () => {
        runs += 1
        if (runs === 2) throw new Error('not today')
        if (runs === 3) page.bump()
        return runs
      },
      { discard: (v) => discarded.push(v) },
    )
    value()
    page.bump()
    expect(value).toThrow('not today')
    expect(value()).toBe(4)
    await eventually('both were discarded', () => discarded.length === 2)
    expect(discarded).toEqual([1, 3])
  })

  it('includes a promise’s value that was thrown away while it was made', async () => {
    const discarded: number[] = []
    let runs = 0
    const value = perGeneration(
      async () => {
        runs += 1
        if (runs === 1) page.bump()
        return runs
      },
      { discard: (v) => discarded.push(v) },
    )
    expect(await value()).toBe(2)
    await eventually('the first was discarded', () => discarded.length > 0)
    expect(discarded).toEqual([1])
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('it sticks')
      },
    ],
    ['rejects', () => Promise.reject(new Error('it sticks'))],
  ])('keeps to itself what a discard %s, but for the diagnostics channel', async (_, discard) => {
    const published: unknown[] = []
    const listen = (message: unknown) => published.push(message)
    subscribe('snapsafe:discard-failed', listen)
    const value = perGeneration((generation) => generation, { discard })
    value()
    page.bump()
    expect(value()).toBe(page.generation)
    await eventually('it was published', () => published.length > 0)
    unsubscribe('snapsafe:discard-failed', listen)
    expect(published).toEqual([{ error: new Error('it sticks') }])
  })
})
