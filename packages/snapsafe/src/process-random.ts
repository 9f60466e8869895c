import { randomInt, randomUUID } from 'node:crypto'
import { loadNative } from './native.ts'

/** lib/internal/crypto/random.js, kBatchSize: one batch of UUIDs, the same in Node 20 to 26. */
const cachedUuids = 128
/** lib/internal/crypto/random.js: a cache of 6 KiB holds 1024 draws of 6 bytes, the same in Node 20 to 26. */
const cachedInts = 1024

/**
 * Makes the randomness of this thread new: OpenSSL (of the whole process) is reseeded from the kernel, and what
 * `randomUUID` and `randomInt` had drawn in advance is thrown away. Costs about 0.2 ms.
 * Returns false where OpenSSL could not be reseeded, because there is no addon: then nothing here is new.
 *
 * Not reached: `Math.random`, other copies of OpenSSL in native addons, and draws that are under way in the thread pool.
 */
export function renewProcessRandom(): boolean {
  const { addon } = loadNative()
  const reseeded = addon?.reseedOpenSSL() ?? false
  // The caches hold what the old state gave. How much of a batch is left is hidden; a whole batch empties it at any phase.
  for (let count = 0; count < cachedUuids; count++) randomUUID()
  drainInts()
  return reseeded
}

/**
 * The rest of it, which has to wait: an asynchronous refill of randomInt's cache that was under way at the renewal brings
 * old bytes when it ends, for all who draw after it. Resolves when it has ended and the cache was emptied once more.
 */
export function settleProcessRandom(): Promise<void> {
  return new Promise((resolve, reject) => {
    // An asynchronous draw waits for a refill only where it finds the cache empty. Of one more than the cache can hold,
    // the last one does; there is never more than one refill under way.
    for (let count = 0; count < cachedInts; count++) randomInt(2, ignore)
    randomInt(2, (error) => {
      if (error) return reject(error)
      drainInts()
      resolve()
    })
  })
}

function drainInts(): void {
  for (let count = 0; count < cachedInts; count++) randomInt(2)
}

function ignore(): void {}
