import { closeSync, writeSync } from 'node:fs'
import type { NativeAddon, NativePageWriter } from '../native.ts'
import { PageClosedError } from './page-errors.ts'
import { continuePageFile, createPageFile } from './page-file.ts'
import * as layout from './page-layout.ts'

const maxU32 = 0xffff_ffff
const idPattern = /^[0-9a-f]{32}$/

export interface CreatePageOptions {
  readonly native: NativeAddon
  /** The id of generation 0, if the page has to be created: 32 lower-case hexadecimal digits. */
  readonly id: string
}

export interface OpenedPage {
  readonly page: PageWriter
  /** false: there was one already, and it goes on with its generation, id and phase. */
  readonly created: boolean
  /**
   * The previous writer died in the middle of an update, and any of its fields may be old or new; no new generation is
   * seen with an old id, though. Whoever reads more than the generation is let in again by the next `publish`, which has to
   * say all there is.
   */
  readonly repaired: boolean
}

/** What is not given stays as it is. */
export interface PageChange {
  /** Never less than the current one; a new generation comes with a new `id`. */
  readonly generation?: number
  readonly id?: string
  readonly phase?: layout.Phase
  /** Not given: now, if the generation is new. */
  readonly changedAtNs?: bigint
  readonly tracked?: number
  readonly outdated?: number
}

/**
 * Creates the page at `path`, or goes on with the one that is there, in place: those who have mapped it see all that
 * follows. A page appears whole or not at all. Throws PageForeignError for any other file at `path`, which is left
 * untouched, and PageUnavailableError. That there is one writer only is the caller's to ensure.
 */
export function createOrContinuePage(path: string, options: CreatePageOptions): OpenedPage {
  const { native } = options
  if (!idPattern.test(options.id)) throw new RangeError('id: expected 32 lower-case hexadecimal digits')
  const file = continuePageFile(path) ?? createPageFile(path, options.id, native.bootTimeNs())
  try {
    const memory = native.openPageWriter(file.fd)
    const sequence = native.pageLoad32(memory, layout.sequenceOffset)
    const repaired = sequence % 2 !== 0
    const page = new PageWriter(path, file.fd, native, memory)
    // The last writer may have died after its update and before it told anybody.
    if (!file.created && !repaired) page.wake()
    return { page, created: file.created, repaired }
  } catch (error) {
    closeSync(file.fd)
    throw error
  }
}

/** The one writer of a page. Get it from `createOrContinuePage`. */
export class PageWriter {
  readonly path: string
  readonly #fd: number
  readonly #native: NativeAddon
  readonly #memory: NativePageWriter
  #isClosed = false

  constructor(path: string, fd: number, native: NativeAddon, memory: NativePageWriter) {
    this.path = path
    this.#fd = fd
    this.#native = native
    this.#memory = memory
  }

  snapshot(): layout.PageSnapshot {
    this.#assertOpen()
    const words = new Uint32Array(layout.headerWords)
    for (let index = 0; index < words.length; index++) {
      words[index] = this.#native.pageLoad32(this.#memory, index * 4)
    }
    return layout.decodePage(Buffer.from(words.buffer))
  }

  /**
   * Makes the change visible as a whole, then wakes those who wait for it. Whoever sees the new generation in the first
   * word can be sure that the id and the other fields are on the page; only the phase may still be `quiesced` then. Whoever
   * reads the phase and after it the generation, and finds the phase no longer `quiesced`, has the generation that came with
   * that. Throws RangeError, with the page as it was, for a generation that goes back, one without an id of its own, and
   * values that do not fit.
   */
  publish(change: PageChange): void {
    const current = this.snapshot()
    const generation = change.generation ?? current.generation
    const sequence = this.#native.pageLoad32(this.#memory, layout.sequenceOffset)
    // Left by a writer that died: what is there belongs to no generation, and the id may be of the one that comes now.
    const isTorn = sequence % 2 !== 0
    assertValid(change, current, isTorn)
    const isNew = generation !== current.generation
    const changedAtNs = change.changedAtNs ?? (isNew ? this.#native.bootTimeNs() : current.changedAtNs)
    const phase = layout.phases.indexOf(change.phase ?? current.phase)
    // Else a reader that is not frozen could take a clone for the system from before the snapshot. Any other phase goes
    // first: nobody is to take the `running` of the past for that of the new generation.
    const phaseIsLast = current.phase === 'quiesced'
    const writing = isTorn ? sequence : next(sequence)
    // The order is the promise to readers, and each store is fenced from the next (see native/page-writer.c).
    this.#store(layout.sequenceOffset, writing)
    if (!phaseIsLast) this.#store(layout.phaseOffset, phase)
    if (change.id !== undefined) this.#storeBytes(layout.idOffset, Buffer.from(change.id, 'hex'))
    this.#storeBytes(layout.changedAtOffset, new Uint8Array(BigUint64Array.of(changedAtNs).buffer))
    this.#store(layout.trackedOffset, change.tracked ?? current.trackedWatchers)
    this.#store(layout.outdatedOffset, change.outdated ?? current.outdatedWatchers)
    if (isNew) this.#store(layout.generationOffset, generation)
    if (phaseIsLast) this.#store(layout.phaseOffset, phase)
    this.#store(layout.sequenceOffset, next(writing))
    this.wake()
  }

  /** Tells all who wait on the futex or by inotify to look again; publish does it by itself. */
  wake(): void {
    this.#assertOpen()
    this.#native.wakeFutex(this.#memory, layout.generationOffset)
    // A store through a mapping is no event for inotify, a write(2) is. So the sequence is written over itself: the same
    // four bytes, of which this process is the only writer.
    const sequence = Uint32Array.of(this.#native.pageLoad32(this.#memory, layout.sequenceOffset))
    writeSync(this.#fd, sequence, 0, 4, layout.sequenceOffset)
  }

  /** Idempotent. The file stays, as does everything that readers see. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#native.closePageWriter(this.#memory)
    closeSync(this.#fd)
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #store(offset: number, value: number): void {
    this.#native.pageStore32(this.#memory, offset, value)
  }

  #storeBytes(offset: number, bytes: Uint8Array): void {
    this.#native.pageStoreBytes(this.#memory, offset, bytes)
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new PageClosedError(this.path)
  }
}

/** The sequence counts on for ever and wraps around; only equality and oddness are looked at. */
function next(sequence: number): number {
  return (sequence + 1) >>> 0
}

function assertValid(change: PageChange, current: layout.PageSnapshot, isTorn: boolean): void {
  for (const name of ['generation', 'tracked', 'outdated'] as const) {
    const value = change[name] ?? 0
    if (!Number.isInteger(value) || value < 0 || value > maxU32)
      throw new RangeError(`${name}: expected a u32`)
  }
  const { id, phase, changedAtNs = 0n, generation = current.generation } = change
  if (phase !== undefined && !layout.phases.includes(phase)) throw new RangeError(`phase: unknown ${phase}`)
  if (BigInt.asUintN(64, changedAtNs) !== changedAtNs) throw new RangeError('changedAtNs: expected a u64')
  if (id !== undefined && !idPattern.test(id))
    throw new RangeError('id: expected 32 lower-case hexadecimal digits')
  if (generation < current.generation) throw new RangeError('generation: it never goes back')
  const hasOwnId = id !== undefined && (isTorn || id !== current.id)
  if (generation > current.generation && !hasOwnId) {
    throw new RangeError('generation: a new one needs an id of its own')
  }
}
