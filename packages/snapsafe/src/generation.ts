import { findPage, readGeneration, readStamp, whyNoPage } from './local-page.ts'
import { loadNative, missingWithoutAddon } from './native.ts'
import { wasReseeded } from './renewal.ts'

const missingWithoutReseed: readonly string[] = Object.freeze([
  "this process's OpenSSL did not take a new seed: crypto.randomBytes and keys may repeat those of a sibling clone",
])

/** The generation of this machine, as this thread sees it. */
export interface Generation {
  /** u32; 0 at boot; compare by inequality. Costs a load from memory. Without a page: what a hook was told last, or 0. */
  readonly number: number
  /**
   * 32 hexadecimal digits, different in every clone; public. Undefined where there is no page. Throws PageBusyError in the
   * rare time between a daemon that died while it wrote the page and the next one.
   */
  readonly id: string | undefined
  /**
   * Whether guards and values can learn of a restore, from the page. A page outlives its daemon, so that a restart goes
   * unnoticed; whether one is there at this moment, a hook's `connected` says.
   */
  readonly supported: boolean
  /** Why not, and what would help; undefined where they can. */
  readonly reason: string | undefined
  /** `mapped`: a check is two loads from memory. `read`: two system calls, for want of the addon. `none`: there is no page. */
  readonly page: 'mapped' | 'read' | 'none'
  /** What does not work in this process, for people to read; empty where all does. */
  readonly missing: readonly string[]
  /**
   * Whether the generation is another than `seen`, a number that was read from `number` before. Always true while the system
   * is quiesced for a snapshot: every copy will have what was made before.
   */
  changedSince(seen: number): boolean
}

/** Own getters that are defined one by one: V8 inlines these, and those of an object literal it does not (9 ns a call). */
export const generation = Object.freeze(
  Object.defineProperties(
    { changedSince: (seen: number) => readStamp() !== seen },
    {
      number: { enumerable: true, get: readGeneration },
      id: { enumerable: true, get: () => findPage()?.read().id },
      supported: { enumerable: true, get: () => findPage() !== undefined },
      reason: { enumerable: true, get: whyNoPage },
      page: { enumerable: true, get: () => findPage()?.how ?? 'none' },
      missing: { enumerable: true, get: findMissing },
    },
  ),
) as Generation

function findMissing(): readonly string[] {
  if (!loadNative().addon) return missingWithoutAddon
  return wasReseeded() ? [] : missingWithoutReseed
}
