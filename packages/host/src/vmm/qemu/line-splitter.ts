/**
 * Cuts a byte stream into lines without their `\n`. `push` returns the lines that are complete now and keeps the rest.
 * It throws a `RangeError` when a line grows past `maxLineBytes`, so that a peer cannot make it hold more than that.
 */
export class LineSplitter {
  readonly #maxLineBytes: number
  #parts: Buffer[] = []
  #partBytes = 0

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes
  }

  push(chunk: Buffer): string[] {
    const lines: string[] = []
    let from = 0
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      this.#keep(chunk.subarray(from, end))
      lines.push(Buffer.concat(this.#parts).toString('utf8'))
      this.#parts = []
      this.#partBytes = 0
      from = end + 1
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from))
    return lines
  }

  #keep(part: Buffer): void {
    this.#partBytes += part.length
    if (this.#partBytes > this.#maxLineBytes)
      throw new RangeError(`a line exceeds ${this.#maxLineBytes} bytes`)
    this.#parts.push(part)
  }
}
