import { writevSync } from 'node:fs'
import { loadNative, type NativeAddon, type SecretMemory } from './native.ts'
import { ProtectedMemoryUnsupportedError } from './protected-memory-errors.ts'

/** What is before the secret in the file; the first word is the mark. */
const headerBytes = 64
/** In the first word while what follows counts. */
const intactMark = 1
/** Failures of the addon that say that this process cannot have such memory, today or later. */
const unsupportedCodes: ReadonlySet<unknown> = new Set([
  'ERR_NO_EXTERNAL_BUFFERS',
  'ENOSYS',
  'EPERM',
  'EACCES',
])

/** Taken at load, so that nobody who replaces them later is handed the memory as an argument. */
const { compareExchange } = Atomics
const header = Int32Array.of(intactMark, ...new Array(headerBytes / 4 - 1).fill(0))

/**
 * A secret in a memfd, of which another process may overwrite all bytes at any time, in ascending order: first of all the
 * mark. What this process puts in goes through the file, because writes to one file exclude each other: a mark that is
 * there, and was there before, vouches for all that was written with it.
 */
export class SecretFile {
  readonly fd: number
  /** Of the file: header and secret. */
  readonly fileBytes: number
  /** Whether it is kept out of the swap space. */
  readonly locked: boolean
  readonly #close: () => void
  readonly #words: Int32Array
  readonly #bytes: Uint8Array

  /** Throws ProtectedMemoryUnsupportedError, or what the system has no more of (EMFILE, ENOMEM). */
  constructor(length: number) {
    const { addon, reason } = loadNative()
    if (!addon) throw new ProtectedMemoryUnsupportedError(`there is no protected memory: ${reason}`)
    const secret = createIn(addon, headerBytes + length)
    this.#close = () => addon.closeSecretMemory(secret)
    this.#words = new Int32Array(secret.memory, 0, headerBytes / 4)
    this.#bytes = new Uint8Array(secret.memory)
    this.fileBytes = headerBytes + length
    this.fd = secret.fd
    this.locked = secret.locked
  }

  /** A view of the secret, which is the memory itself. */
  view(): Uint8Array {
    return this.#bytes.subarray(headerBytes)
  }

  /** Whether these bytes are of the memory itself. */
  owns(bytes: Uint8Array): boolean {
    return bytes.buffer === this.#bytes.buffer
  }

  /**
   * Whether nothing was overwritten since `replace`. An exchange rather than a load: what was read from the secret before
   * has been read when this looks, on every CPU.
   */
  isIntact(): boolean {
    return compareExchange(this.#words, 0, intactMark, intactMark) === intactMark
  }

  /** Puts a secret in the place of what there was. Throws what the system says if it cannot; then nothing is there. */
  replace(bytes: Uint8Array): void {
    if (bytes.buffer === this.#bytes.buffer)
      throw new TypeError('a secret cannot be written from its own memory')
    this.wipe()
    this.#write([header, bytes], 0, headerBytes + bytes.byteLength)
  }

  /** Puts something more in. */
  add(bytes: Uint8Array, offset: number): void {
    this.#write([bytes], headerBytes + offset, bytes.byteLength)
  }

  /** Overwrites all, with nobody's help. */
  wipe(): void {
    this.#bytes.fill(0)
  }

  /** Wipes it. The memory stays there for views of it, until they are collected. */
  close(): void {
    this.wipe()
    this.#close()
  }

  #write(parts: readonly NodeJS.ArrayBufferView[], position: number, length: number): void {
    let written = 0
    try {
      written = writevSync(this.fd, parts, position)
    } finally {
      if (written !== length) this.wipe()
    }
    if (written !== length) throw new Error(`only ${written} of ${length} bytes could be written to a memfd`)
  }
}

function createIn(addon: NativeAddon, length: number): SecretMemory {
  try {
    return addon.createSecretMemory(length)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (!unsupportedCodes.has(code)) throw error
    throw new ProtectedMemoryUnsupportedError(`there is no protected memory: ${message}`, { cause: error })
  }
}
