import { channel } from 'node:diagnostics_channel'
import { loadNative, missingWithoutAddon } from './native.ts'
import { renewProcessRandom } from './process-random.ts'
import { openPage, type PageReader } from './protocol/page.ts'
import { pagePath, runtimeDirOf } from './protocol/paths.ts'

/** How often a process without a page looks for one: the daemon may start later. */
const retryMs = 1000

/** Publishes `{ generation, reseeded }` when this thread has made its randomness new. */
export const renewedChannel = channel('snapsafe:renewed')

const path = pagePath(runtimeDirOf())
let reader: PageReader | undefined
let reason: string | undefined
let lookedAt = Number.NEGATIVE_INFINITY
/** The generation that this thread's randomness belongs to. */
let renewedFor = 0

lookForPage()
// Who loads this late may have been restored before: what its OpenSSL holds is not known to be of this generation.
renew(readGeneration())

/** The generation of this machine, as this thread sees it. */
export interface Generation {
  /** u32; 0 at boot; compare by inequality. 0 where there is no page. Costs a load from memory. */
  readonly number: number
  /** 32 hexadecimal digits, different in every clone; public. Undefined where there is no page. */
  readonly id: string | undefined
  /** Whether this process can learn of a restore. */
  readonly supported: boolean
  /** Why not, and what would help; undefined where it can. */
  readonly reason: string | undefined
  /** `mapped`: a check is a load from memory. `read`: a system call, for want of the addon. `none`: there is no page. */
  readonly page: 'mapped' | 'read' | 'none'
  /** What does not work here, for want of the addon; empty where all does. */
  readonly missing: readonly string[]
  /** Whether the generation is another than `seen`, a number that was read from `number` before. */
  changedSince(seen: number): boolean
}

export const generation: Generation = Object.freeze({
  get number() {
    return readGeneration()
  },
  get id() {
    lookForPage()
    return reader?.read().id
  },
  get supported() {
    lookForPage()
    return reader !== undefined
  },
  get reason() {
    lookForPage()
    return reason
  },
  get page() {
    lookForPage()
    return reader?.how ?? 'none'
  },
  get missing() {
    return loadNative().addon ? [] : missingWithoutAddon
  },
  changedSince(seen: number) {
    return readGeneration() !== seen
  },
})

/** The current generation, after making sure that this thread's randomness belongs to it. */
export function enterGeneration(): number {
  const current = readGeneration()
  renewFor(current)
  return current
}

/** Makes this thread's randomness new, unless that was done for this generation already. */
export function renewFor(current: number): void {
  if (current !== renewedFor) renew(current)
}

/** The generation as a plain load where the page is mapped, without any effect. */
export function readGeneration(): number {
  if (reader !== undefined) return reader.generation()
  lookForPage()
  return reader === undefined ? 0 : (reader as PageReader).generation()
}

/** Opens the page again if another file has taken its place: a daemon was set up anew while this process ran. */
export function refreshPage(): void {
  if (reader?.isCurrent(path)) return
  reader?.close()
  reader = undefined
  lookedAt = Number.NEGATIVE_INFINITY
  lookForPage()
}

function renew(current: number): void {
  const reseeded = renewProcessRandom()
  renewedFor = current
  renewedChannel.publish({ generation: current, reseeded })
}

function lookForPage(): void {
  if (reader !== undefined) return
  const now = performance.now()
  if (now - lookedAt < retryMs) return
  lookedAt = now
  try {
    reader = openPage(path)
    reason = undefined
  } catch (error) {
    reason = `cannot read ${path}: ${(error as Error).message}; nobody will tell this process of a restore. Is snapsafed running?`
  }
}
