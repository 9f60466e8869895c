import { randomUUID } from 'node:crypto'
import {
  cloneQemuSnapshot,
  type QemuMachine,
  type QemuSnapshot,
  withDeadline,
} from '../../../packages/host/src/index.ts'
import type { Guest } from './guest.ts'
import type { CloneOptions } from './guest-options.ts'
import type { WorkFolder } from './work-folder.ts'

const cloneTimeoutMs = 60_000

type Attach = (machine: QemuMachine, work: WorkFolder, signal: AbortSignal) => Promise<Guest>

/** A snapshot that any number of guests can be made of, also at the same time. */
export class GuestSnapshot implements AsyncDisposable {
  /** The snapshot as the driver sees it: a folder with files. */
  readonly snapshot: QemuSnapshot
  readonly #work: WorkFolder
  readonly #attach: Attach
  #closed = false

  constructor(snapshot: QemuSnapshot, work: WorkFolder, attach: Attach) {
    this.snapshot = snapshot
    this.#work = work
    this.#attach = attach
    work.use()
  }

  /** Starts a clone in a new QEMU process and resolves when its agent answers, or, if `paused`, when it can be resumed. */
  async clone(options: CloneOptions = {}): Promise<Guest> {
    const { timeoutMs = cloneTimeoutMs, signal } = options
    if (this.#closed) throw new Error('the snapshot was closed: close it after its last clone was made')
    const folder = await this.#work.part('c')
    return await withDeadline(`the clone in ${folder}`, { timeoutMs, signal }, (ended) => {
      return this.#cloneInto(folder, { ...options, timeoutMs, signal: ended })
    })
  }

  async #cloneInto(
    folder: string,
    {
      paused = false,
      vmgenid = randomUUID(),
      ...wait
    }: CloneOptions & { timeoutMs: number; signal: AbortSignal },
  ): Promise<Guest> {
    const machine = await cloneQemuSnapshot(this.snapshot, { folder, vmgenid, ...wait })
    // Its port has to be connected before it runs: until then its reads return 0.
    const guest = await this.#attach(machine, this.#work, wait.signal)
    try {
      if (!paused) await guest.resume(wait)
      // Nobody would take it any more.
      wait.signal.throwIfAborted()
      return guest
    } catch (error) {
      await guest.close()
      throw error
    }
  }

  /** Makes `count` clones, `parallel` (default 1) at a time. If one fails, all are closed and its error is thrown. */
  async clones(
    count: number,
    options: { parallel?: number } & Omit<CloneOptions, 'vmgenid'> = {},
  ): Promise<Guest[]> {
    const { parallel = 1, ...rest } = options
    const guests: Guest[] = []
    let left = count
    const worker = async (): Promise<void> => {
      while (left-- > 0) guests.push(await this.clone(rest))
    }
    const done = await Promise.allSettled(Array.from({ length: Math.min(parallel, count) }, worker))
    const failed = done.find((outcome) => outcome.status === 'rejected')
    if (!failed) return guests
    await Promise.all(guests.map((guest) => guest.close()))
    throw failed.reason
  }

  /** Gives the snapshot up; clones of it live on. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#work.release()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
