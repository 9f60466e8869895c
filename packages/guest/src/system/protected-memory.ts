import { closeSync, writeSync } from 'node:fs'
import type { NativeAddon } from 'snapsafe/native'
import { NotProtectableError } from './not-protectable-error.ts'
import { type MemoryRequest, takeMemory } from './take-memory.ts'

/** A mebibyte for secrets, and what the library has before them. */
export const maxRegionBytes = 2 ** 20 + 64
/** What is overwritten first: where the mark is that says whether the rest counts. */
const markBytes = 64

interface Region {
  readonly pid: number
  readonly uid: number
  readonly fd: number
  readonly length: number
}

/** A region that is protected until it is closed. */
export interface ProtectedRegion {
  /** Idempotent. What is in the memory stays there. */
  close(): void
}

/** Holds memory of other processes, to overwrite it when there is a snapshot or a restore. */
export class MemoryGuard {
  readonly #addon: NativeAddon
  readonly #regions = new Set<Region>()
  readonly #listeners = new Set<() => void>()
  /** Made now: at a restore there may be no memory for it. */
  readonly #zeros = Buffer.alloc(maxRegionBytes)

  constructor(addon: NativeAddon) {
    this.#addon = addon
  }

  /** Protects the first `length` bytes of a memfd of a process. Throws NotProtectableError, which says what is wrong. */
  add(request: MemoryRequest): ProtectedRegion {
    const { pid, uid, length } = request
    if (!Number.isInteger(length) || length < 1 || length > maxRegionBytes) {
      throw new NotProtectableError(`${length} bytes are not 1 to ${maxRegionBytes}`)
    }
    const region: Region = { pid, uid, length, fd: takeMemory(this.#addon, request) }
    this.#regions.add(region)
    return { close: () => this.#forget(region) }
  }

  /** How many regions there are, of one user or of all. */
  count(uid?: number): number {
    return this.#of(uid).length
  }

  /** How many bytes they have. */
  bytes(uid?: number): number {
    return this.#of(uid).reduce((sum, { length }) => sum + length, 0)
  }

  /**
   * Overwrites all regions, in place, before it returns: a hole instead would give the pages back as they are. Never throws:
   * what could not be overwritten is in `failures`, and does not keep the rest from it.
   */
  wipe(): { readonly regions: number; readonly failures: readonly Error[] } {
    const failures: Error[] = []
    for (const region of this.#regions) {
      try {
        this.#overwrite(region)
      } catch (error) {
        const whose = `the protected memory of process ${region.pid} (user ${region.uid})`
        failures.push(new Error(`cannot overwrite ${whose}: ${(error as Error).message}`, { cause: error }))
      }
    }
    // Not now: thousands of replies would hold up what is to come after this.
    setImmediate(() => this.#tell())
    return { regions: this.#regions.size, failures }
  }

  /** Be told soon after each `wipe`, until the returned function is called. */
  onWipe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Lets all of them go. */
  close(): void {
    for (const region of this.#regions) this.#forget(region)
  }

  #of(uid: number | undefined): Region[] {
    return [...this.#regions].filter((region) => uid === undefined || region.uid === uid)
  }

  #overwrite({ fd, length }: Region): void {
    // By itself, so that nobody on another CPU sees a mark in front of zeros.
    writeSync(fd, this.#zeros, 0, Math.min(markBytes, length), 0)
    for (let done = 0; done < length; ) done += writeSync(fd, this.#zeros, 0, length - done, done)
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }

  #forget(region: Region): void {
    if (this.#regions.delete(region)) closeSync(region.fd)
  }
}
