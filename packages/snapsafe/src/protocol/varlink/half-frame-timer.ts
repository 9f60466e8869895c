import { ProtocolViolationError } from './errors.ts'

/** Watches that a message which has begun also ends. Counts from its first byte, so dribbling does not help. */
export class HalfFrameTimer {
  readonly #timeoutMs: number
  readonly #onTimeout: (error: ProtocolViolationError) => void
  #timer: NodeJS.Timeout | undefined
  #grace: NodeJS.Immediate | undefined

  constructor(timeoutMs: number, onTimeout: (error: ProtocolViolationError) => void) {
    this.#timeoutMs = timeoutMs
    this.#onTimeout = onTimeout
  }

  /** Called after each chunk: is a message unfinished now, and did one end since the last call? */
  update(unfinished: boolean, ended: boolean): void {
    if (!unfinished || ended) {
      clearTimeout(this.#timer)
      clearImmediate(this.#grace)
      this.#timer = undefined
    }
    if (unfinished) this.#timer ??= setTimeout(() => this.#expire(), this.#timeoutMs)
  }

  #expire(): void {
    // After this process was stopped for a while (frozen, a restored VM) timers come before input that has long
    // arrived; the immediate lets the loop read it first.
    this.#grace = setImmediate(() => {
      const message = `a message did not end within ${this.#timeoutMs} ms of its first byte; send it whole`
      this.#onTimeout(new ProtocolViolationError('half-frame', message))
    })
  }
}
