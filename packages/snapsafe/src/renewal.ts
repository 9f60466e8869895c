import { channel } from 'node:diagnostics_channel'
import { findPage, pagesOpened, readGeneration, readStamp } from './local-page.ts'
import { renewProcessRandom, settleProcessRandom } from './process-random.ts'

/** Publishes `{ generation, reseeded }` when this thread has made its randomness new. */
const renewedChannel = channel('snapsafe:renewed')

/** The generation, and the page, that this thread's randomness belongs to. */
let renewedFor: number | undefined
let renewedOn = 0
let reseeded = false
let settling = Promise.resolve()

// Who loads this late may have been restored before: what its OpenSSL holds is not known to be of this generation.
// Nothing is settled here: whatever was under way before has ended while this was loaded.
renew(readGeneration())

/**
 * The current generation, after making sure that this thread's randomness belongs to it. Nobody can know that without a
 * page, or while the system is quiesced for a snapshot, which every copy wakes from: then it is made new each time.
 */
export function enterGeneration(): number {
  const current = readGeneration()
  if (findPage() === undefined || Number.isNaN(readStamp())) renew(current)
  else renewFor(current)
  return current
}

/** Makes this thread's randomness new, unless that was done for this generation of this page already. */
export function renewFor(current: number): void {
  if (current === renewedFor && renewedOn === pagesOpened()) return
  renew(current)
  settling = settleProcessRandom()
}

/** Resolves when nothing that was under way at the last renewal can bring old randomness any more. */
export function randomSettled(): Promise<void> {
  return settling
}

/** Whether the last renewal has reached OpenSSL. */
export function wasReseeded(): boolean {
  return reseeded
}

function renew(current: number): void {
  reseeded = renewProcessRandom()
  renewedFor = current
  renewedOn = pagesOpened()
  renewedChannel.publish({ generation: current, reseeded })
}
