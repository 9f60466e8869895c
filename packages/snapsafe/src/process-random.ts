import { randomInt, randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import { loadNative } from './native.ts'

/** lib/internal/crypto/random.js, kBatchSize: one batch of UUIDs, the same in Node 20 to 26. */
const cachedUuids = 128
/** lib/internal/crypto/random.js: a cache of 6 KiB holds 1024 draws of 6 bytes, the same in Node 20 to 26. */
const cachedInts = 1024

const randomIntLater = promisify<number, number>(
  randomInt as (max: number, done: (e: unknown, n: number) => void) => void,
)

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
 * The rest of it, which has to wait: an asynchronous refill of randomInt's cache that was under way at the restore brings
 * old bytes when it ends. An asynchronous draw ends after it; then the cache is emptied once more.
 */
export async function settleProcessRandom(): Promise<void> {
  await randomIntLater(2)
  drainInts()
}

function drainInts(): void {
  for (let count = 0; count < cachedInts; count++) randomInt(2)
}
