import { type InspectOptions, inspect, types } from 'node:util'
import { type Guarded, isThenable } from './guard.ts'
import { findPage, readStamp, refreshPage } from './local-page.ts'
import { MemoryProtection } from './memory-protection.ts'
import { ProtectedMemoryClosedError, ProtectedMemoryWipedError } from './protected-memory-errors.ts'
import { SecretFile } from './secret-file.ts'
import { whenAborted } from './when-aborted.ts'

/** 1 MiB. The daemon takes no more, and overwrites all of it before anybody learns of a restore. */
const maxLength = 2 ** 20

const neverWritten = 'nothing was written to this memory yet; write a secret first'
const overwritten =
  'the secret was overwritten, because of a snapshot or a restore; make a new one and write that'
const replaced = 'the secret was replaced while it was being used; use it again'

export interface ProtectedMemoryOptions {
  /** Closes the memory when aborted. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Memory for a secret that must not be in a snapshot, or not be used in a copy of the machine. The daemon overwrites it
 * before a planned snapshot, and first thing after every restore; whoever uses it then gets a ProtectedMemoryWipedError
 * rather than zeros. It is in no core dump and no forked child, and not in the swap space where the system allows that.
 *
 * As long as `protectedByDaemon` is false nobody overwrites the memory, but a secret of another generation than the current
 * one is not given out all the same. Each memory is a connection to the daemon and two open files: close what is not used.
 */
export class ProtectedMemory {
  /** How many bytes it has for secrets. */
  readonly length: number
  /** Whether it is kept out of the swap space; not so where RLIMIT_MEMLOCK is used up. */
  readonly locked: boolean
  readonly #file: SecretFile
  readonly #protection: MemoryProtection
  readonly #forget: (() => void) | undefined
  /** The generation that the secret belongs to; undefined: nothing was ever written. */
  #writtenIn: number | undefined
  /** Counts the secrets. */
  #edition = 0
  /** The generation that the daemon named last. */
  #heard: number | undefined
  #isClosed = false

  /**
   * Makes memory for secrets of up to `length` bytes: 1 to 1,048,576. Throws ProtectedMemoryUnsupportedError where there
   * cannot be any, and what the system says where it has no more (`EMFILE`, `ENOMEM`). Does not wait for the daemon.
   */
  static create(length: number, options: ProtectedMemoryOptions = {}): ProtectedMemory {
    if (!Number.isInteger(length) || length < 1 || length > maxLength) {
      throw new RangeError(
        `length is ${String(length)}; it must be a whole number of 1 to ${maxLength} bytes`,
      )
    }
    options.signal?.throwIfAborted()
    return new ProtectedMemory(length, options.signal)
  }

  private constructor(length: number, signal: AbortSignal | undefined) {
    this.#file = new SecretFile(length)
    this.length = length
    this.locked = this.#file.locked
    this.#protection = new MemoryProtection(this.#file, (generation) => this.#hear(generation))
    this.#forget = signal && whenAborted(signal, () => this.#close(signal.reason))
  }

  /** `empty`: nothing was written, or it was closed. `wiped`: the secret is gone. */
  get state(): 'empty' | 'intact' | 'wiped' {
    if (this.#writtenIn === undefined) return 'empty'
    return this.#isCurrent() ? 'intact' : 'wiped'
  }

  /** Whether the daemon overwrites the memory when it has to be. */
  get protectedByDaemon(): boolean {
    return this.#protection.connected
  }

  /** Why it does not, at the last attempt. */
  get problem(): Error | undefined {
    return this.#protection.problem
  }

  /**
   * Resolves when the daemon protects the memory for the first time, and waits as long as there is no daemon. Whoever asks
   * for this promise keeps the process alive until then. Rejects only when the memory is closed before: with the reason of
   * its signal, or an AbortError.
   */
  get registered(): Promise<void> {
    return this.#protection.registered
  }

  /**
   * Copies a secret in; it belongs to the current generation. At offset 0 a new secret begins: all that was there before is
   * overwritten. At any other offset something is added to a secret, which must be intact. Throws ProtectedMemoryWipedError
   * where it is not, or if the generation moves meanwhile. The caller's own copy is the caller's to overwrite.
   */
  write(bytes: Uint8Array, offset = 0): void {
    if (!types.isUint8Array(bytes)) throw new TypeError('a secret must be a Uint8Array')
    if (!Number.isInteger(offset) || offset < 0 || bytes.length < 1 || offset + bytes.length > this.length) {
      const what = `${bytes.length} bytes at offset ${String(offset)}`
      throw new RangeError(`${what} are not inside of the memory, which has ${this.length}`)
    }
    if (this.#file.owns(bytes)) throw new TypeError('a secret cannot be written from its own memory')
    if (this.#isClosed) throw closed()
    if (offset === 0) this.#begin(bytes)
    else this.#add(bytes, offset)
    this.#check(this.#edition)
  }

  /**
   * Calls `fn` with the secret and returns what it returns. Throws ProtectedMemoryWipedError, and wipes what is left, if the
   * secret is not intact and of the current generation, before `fn` or after it: so nothing that was made of zeros gets out.
   * For a promise, or anything else with a `then`, the second look is taken when that settles; also who replaces the secret
   * meanwhile makes it reject. An error of `fn` is thrown on, unless the secret is gone.
   *
   * `fn` is given the memory itself, with zeros behind the secret: it must not keep it, nor copy the secret elsewhere.
   */
  use<T>(fn: (secret: Uint8Array) => T): Guarded<T> {
    if (typeof fn !== 'function') throw new TypeError('use needs a function')
    const edition = this.#edition
    this.#check(edition)
    let result: T
    try {
      result = fn(this.#file.view())
    } catch (error) {
      this.#check(edition, error)
      throw error
    }
    if (isThenable(result)) return this.#settle(result, edition) as Guarded<T>
    this.#check(edition)
    return result as Guarded<T>
  }

  /** Wipes the secret for good. Idempotent; any other use of it throws a ProtectedMemoryClosedError from now on. */
  close(): void {
    this.#close(undefined)
  }

  [Symbol.dispose](): void {
    this.#close(undefined)
  }

  /** What may be shown: never the secret. */
  toJSON(): object {
    const { length, state, protectedByDaemon } = this
    return { length, state, protectedByDaemon }
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    return `ProtectedMemory ${inspect(this.toJSON(), options)}`
  }

  async #settle(result: PromiseLike<unknown>, edition: number): Promise<unknown> {
    let value: unknown
    try {
      value = await result
    } catch (error) {
      this.#check(edition, error)
      throw error
    }
    this.#check(edition)
    return value
  }

  #begin(bytes: Uint8Array): void {
    this.#edition += 1
    // Before the bytes are there: if the generation moves while they are written, they do not count.
    this.#writtenIn = readStamp()
    this.#file.replace(bytes)
  }

  #add(bytes: Uint8Array, offset: number): void {
    this.#check(this.#edition)
    this.#file.add(bytes, offset)
  }

  #isCurrent(): boolean {
    // The mark first: nothing that is read after it can have been read before.
    return this.#file.isIntact() && this.#writtenIn === readStamp()
  }

  /** Throws unless the secret of this edition is there, and of the current generation. */
  #check(edition: number, cause?: unknown): void {
    const because = cause === undefined ? {} : { cause }
    if (this.#isClosed) throw closed(because)
    if (this.#writtenIn === undefined) throw new ProtectedMemoryWipedError(neverWritten)
    if (!this.#isCurrent()) {
      this.#file.wipe()
      throw new ProtectedMemoryWipedError(overwritten, because)
    }
    if (this.#edition !== edition) throw new ProtectedMemoryWipedError(replaced, because)
  }

  /** The daemon has registered the memory, perhaps after it was away, or has overwritten it. */
  #hear(generation: number): void {
    refreshPage()
    // Without a page, the daemon's word is all there is.
    const isPast = findPage() ? !this.#isCurrent() : generation !== (this.#heard ?? generation)
    this.#heard = generation
    if (isPast) this.#file.wipe()
  }

  #close(reason: unknown): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#writtenIn = undefined
    this.#forget?.()
    this.#protection.close(reason ?? new DOMException('The memory was closed', 'AbortError'))
    this.#file.close()
  }
}

function closed(because: ErrorOptions = {}): ProtectedMemoryClosedError {
  return new ProtectedMemoryClosedError('this memory was closed; create another', because)
}
