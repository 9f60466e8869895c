/** Calls a function at most so often, and always once more after the last time that it was asked to. */
export class Throttle {
  readonly #everyMs: number
  readonly #run: () => void
  #lastMs = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  constructor(everyMs: number, run: () => void) {
    this.#everyMs = everyMs
    this.#run = run
  }

  /** Runs it now, however long the last time is ago. */
  now(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#lastMs = performance.now()
    this.#run()
  }

  /** Runs it now, or when the time since the last has passed. */
  soon(): void {
    if (this.#timer !== undefined) return
    const leftMs = this.#lastMs + this.#everyMs - performance.now()
    if (leftMs <= 0) this.now()
    else this.#timer = setTimeout(() => this.now(), Math.ceil(leftMs))
  }

  /** Does not run it any more. */
  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
