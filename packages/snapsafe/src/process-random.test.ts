import { describe, expect, it, vi } from 'vitest'
import { loadNative } from './native.ts'
import { renewProcessRandom, settleProcessRandom } from './process-random.ts'

const drawn = vi.hoisted(() => ({ uuids: 0, ints: 0 }))

// The real functions, counted.
vi.mock('node:crypto', async (load) => {
  const original = await load<typeof import('node:crypto')>()
  return {
    ...original,
    randomUUID: () => {
      drawn.uuids += 1
      return original.randomUUID()
    },
    randomInt: (max: number, done?: (error: Error | null, value: number) => void) => {
      if (done) return original.randomInt(max, done)
      drawn.ints += 1
      return original.randomInt(max)
    },
  }
})
const { randomInt } = await vi.importActual<typeof import('node:crypto')>('node:crypto')
const cachedInts = 1024

/** Draws until randomInt's cache is empty: an asynchronous draw is answered from the cache in the same turn, if it can be. */
async function emptyIntCache(): Promise<void> {
  for (;;) {
    let answered = false
    const answer = new Promise<void>((resolve) => {
      randomInt(2, () => {
        answered = true
        resolve()
      })
    })
    await new Promise<void>((resolve) => process.nextTick(resolve))
    if (answered) continue
    await answer
    for (let count = 1; count < cachedInts; count++) randomInt(2)
    return
  }
}

describe('the renewal of the process’s randomness', () => {
  it('reseeds OpenSSL once, and consumes a whole batch of UUIDs and of integers', () => {
    const { addon } = loadNative()
    const count = addon?.openSSLReseedCount() as number
    const before = { ...drawn }
    expect(renewProcessRandom()).toBe(true)
    expect(addon?.openSSLReseedCount()).toBe(count + 1)
    expect(drawn.uuids - before.uuids).toBe(128)
    expect(drawn.ints - before.ints).toBe(1024)
  })

  it.each([0, 1, 500, 1024])(
    'leaves no integer of a refill that was under way, with %i drawn beside it',
    async (beside) => {
      await emptyIntCache()
      const events: string[] = []
      let drawnBefore = 0
      // Starts the refill. The draws fill the cache themselves, so it need not look empty while the refill is under way.
      randomInt(2, () => {
        events.push('refilled')
        drawnBefore = drawn.ints
      })
      for (let count = 0; count < beside; count++) randomInt(2)
      renewProcessRandom()
      expect(events).toEqual([])
      await settleProcessRandom()
      events.push('settled')
      expect(events).toEqual(['refilled', 'settled'])
      expect(drawn.ints - drawnBefore).toBeGreaterThanOrEqual(cachedInts)
    },
  )

  it('settles also when nothing was under way', async () => {
    await settleProcessRandom()
    await Promise.all([settleProcessRandom(), settleProcessRandom()])
  })
})
