import { closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { loadNative, type NativeAddon } from '../native.ts'
import { PageBusyError, PageClosedError, PageForeignError, PageUnavailableError } from './page-errors.ts'
import * as layout from './page-layout.ts'

export * from './page-errors.ts'
export * from './page-layout.ts'

/** An update takes microseconds. Whoever still sees it unfinished after these tries, and pauses, sees a dead writer. */
const eagerAttempts = 64
const patientAttempts = 50
const pauseMs = 1

const phaseWord = layout.phaseOffset / 4
const sequenceWord = layout.sequenceOffset / 4
const quiescedPhase = layout.phases.indexOf('quiesced')
const pauseCell = new Int32Array(new SharedArrayBuffer(4))

/** Taken at load, so that nobody who replaces Atomics.load later is handed the mapped memory as an argument. */
const atomicLoad = Atomics.load

export interface OpenPageOptions {
  /** The addon to map the page with; `undefined`: read with system calls. Not given: what `loadNative` finds. */
  readonly native?: NativeAddon | undefined
}

/**
 * A read-only view of the page. The mapped memory itself is nowhere to be found from it: a script that wrote to it would
 * crash the process.
 */
export interface PageReader {
  /** 'read': without the addon, or where it cannot map; then `generation()` is a system call, and `stamp()` two. */
  readonly how: 'mapped' | 'read'
  /**
   * The current generation, to be compared by inequality. When mapped: one load from memory, no allocation, no system
   * call, never an exception, and it stays right even after `close`.
   */
  generation(): number
  /**
   * What a guard compares: the generation, but NaN while the phase is `quiesced`. What was made before is in the snapshot
   * then, and as NaN equals nothing, all of it has changed. When mapped: two loads, and otherwise as `generation`.
   */
  stamp(): number
  /** All fields, of one and the same update. Throws PageBusyError when a dead writer left an update unfinished. */
  read(): layout.PageSnapshot
  /** Whether `path` still leads to the very file that is being read. */
  isCurrent(path: string): boolean
  /** Idempotent. `read` throws PageClosedError afterwards. */
  close(): void
  [Symbol.dispose](): void
}

/** How the words of the page are reached: the only functions that see the memory. */
interface Access {
  readonly how: PageReader['how']
  generation(): number
  stamp(): number
  sequence(): number
  copyHeader(words: Uint32Array): void
  close(): void
}

/** Opens a page. Each worker thread has to open it for itself. Throws PageUnavailableError or PageForeignError. */
export function openPage(path: string, options: OpenPageOptions = {}): PageReader {
  const native = 'native' in options ? options.native : loadNative().addon
  const fd = open(path)
  try {
    const file = fstatSync(fd, { bigint: true })
    if (!file.isFile()) throw new PageForeignError(path, 'not a regular file')
    if (file.size < layout.pageBytes) throw new PageForeignError(path, 'wrong size')
    const header = Buffer.alloc(layout.headerBytes)
    readSync(fd, header, 0, layout.headerBytes, 0)
    if (!layout.isPage(header)) throw new PageForeignError(path, 'wrong magic')
    return createReader(path, file, access(path, fd, native))
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function open(path: string): number {
  try {
    // O_NONBLOCK: if it is a FIFO, it is to be refused and not waited for.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch (error) {
    throw new PageUnavailableError(path, error)
  }
}

function createReader(path: string, opened: { dev: bigint; ino: bigint }, page: Access): PageReader {
  let isClosed = false
  const close = (): void => {
    if (isClosed) return
    isClosed = true
    page.close()
  }
  return Object.freeze({
    how: page.how,
    generation: page.generation,
    stamp: page.stamp,
    read() {
      if (isClosed) throw new PageClosedError(path)
      return readConsistently(path, page)
    },
    isCurrent(where: string) {
      try {
        const file = statSync(where, { bigint: true })
        return file.ino === opened.ino && file.dev === opened.dev
      } catch {
        return false
      }
    },
    close,
    [Symbol.dispose]: close,
  })
}

/** The reader's half of the seqlock: what was copied counts when nobody wrote before, during and after the copy. */
function readConsistently(path: string, page: Access): layout.PageSnapshot {
  const words = new Uint32Array(layout.headerWords)
  const header = Buffer.from(words.buffer)
  for (let attempt = 0; attempt < eagerAttempts + patientAttempts; attempt++) {
    if (attempt >= eagerAttempts) Atomics.wait(pauseCell, 0, 0, pauseMs)
    const sequence = page.sequence()
    if (sequence % 2 !== 0) continue
    page.copyHeader(words)
    if (page.sequence() !== sequence) continue
    if (!layout.isPage(header)) throw new PageForeignError(path, 'wrong magic')
    return layout.decodePage(header)
  }
  throw new PageBusyError(path)
}

function access(path: string, fd: number, native: NativeAddon | undefined): Access {
  if (native === undefined) return accessByReading(path, fd)
  let memory: ArrayBuffer
  try {
    memory = native.mapPage(fd)
  } catch {
    // A runtime without external buffers, or a file system without mmap: slower, and just as right.
    return accessByReading(path, fd)
  }
  closeSync(fd)
  return accessToMemory(new Uint32Array(memory))
}

/** `words` must not leave this function: not as a property, an argument of a stranger's function, or in an error. */
function accessToMemory(words: Uint32Array): Access {
  return {
    how: 'mapped',
    // A plain load. V8 reads it anew in every turn of a loop (there is a test for that) and inlines it; Atomics.load
    // would be the specified form, and is a call that takes seven times as long.
    generation: () => words[0] as number,
    // Plain loads here as well, and the phase first: the writer stores it after the generation, so whoever sees that it is
    // no longer `quiesced` sees the generation of a copy. x86-64 keeps loads in order, and V8 does not move them.
    stamp: () => (words[phaseWord] === quiescedPhase ? Number.NaN : (words[0] as number)),
    sequence: () => atomicLoad(words, sequenceWord),
    copyHeader(copy) {
      for (let index = 0; index < layout.headerWords; index++) copy[index] = atomicLoad(words, index)
    },
    // Nothing to do: the mapping goes when the last of these functions is collected.
    close() {},
  }
}

function accessByReading(path: string, fd: number): Access {
  const word = new Uint32Array(1)
  let isOpen = true
  const readWord = (offset: number): number => {
    if (!isOpen) throw new PageClosedError(path)
    if (readSync(fd, word, 0, 4, offset) !== 4) throw new PageForeignError(path, 'wrong size')
    return word[0] as number
  }
  return {
    how: 'read',
    generation: () => readWord(layout.generationOffset),
    // In this order, as above, and so by two calls: one call promises none.
    stamp: () =>
      readWord(layout.phaseOffset) === quiescedPhase ? Number.NaN : readWord(layout.generationOffset),
    sequence: () => readWord(layout.sequenceOffset),
    copyHeader(copy) {
      readSync(fd, copy, 0, layout.headerBytes, 0)
    },
    close() {
      isOpen = false
      closeSync(fd)
    },
  }
}
