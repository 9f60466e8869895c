/** Counts what each user has. */
export class PerUser {
  readonly #counts = new Map<number, number>()

  get(uid: number): number {
    return this.#counts.get(uid) ?? 0
  }

  /** One more, until the returned function is called. */
  add(uid: number): () => void {
    this.#counts.set(uid, this.get(uid) + 1)
    let isCounted = true
    return () => {
      if (!isCounted) return
      isCounted = false
      const left = this.get(uid) - 1
      if (left > 0) this.#counts.set(uid, left)
      else this.#counts.delete(uid)
    }
  }
}
