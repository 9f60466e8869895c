/** The header (u64 steps begun, u64 records of the ring) and each record have as many. */
export const slotBytes = 32

/**
 * One step of a draw loop (`programs/draw-loop.c`, `draw-loop.mjs`). Its record is u64 step, u64 begin, u32 generation, u32
 * unused, 8 bytes drawn, all little-endian.
 */
export interface Draw {
  /** Counts the steps from 1. */
  readonly step: number
  /** CLOCK_MONOTONIC, read before the draw. */
  readonly beginNs: bigint
  /** What the page said before the draw. */
  readonly generation: number
  /** The 8 bytes, in hexadecimal digits. */
  readonly value: string
}

/** Reads the first slot of a ring's file. */
export function readHeader(bytes: Buffer): { begun: number; records: number } {
  return { begun: Number(bytes.readBigUInt64LE(0)), records: Number(bytes.readBigUInt64LE(8)) }
}

/** Reads a slot with a record. */
export function readRecord(bytes: Buffer): Draw {
  return {
    step: Number(bytes.readBigUInt64LE(0)),
    beginNs: bytes.readBigUInt64LE(8),
    generation: bytes.readUInt32LE(16),
    value: bytes.toString('hex', 24, slotBytes),
  }
}

/**
 * Where the records of steps `first` to `last` are in the file of a ring of so many records, in order. They are in one piece,
 * or in two where the ring begins anew between them.
 */
export function recordRanges(
  first: number,
  last: number,
  records: number,
): { offset: number; bytes: number }[] {
  const count = last - first + 1
  if (count > records) throw new RangeError(`a ring of ${records} records does not hold ${count}`)
  const start = first % records
  const untilEnd = Math.min(count, records - start)
  return [
    { offset: slotBytes * (1 + start), bytes: slotBytes * untilEnd },
    { offset: slotBytes, bytes: slotBytes * (count - untilEnd) },
  ].filter(({ bytes }) => bytes > 0)
}

/** Records of consecutive steps. */
export class DrawRecords {
  /** The loop's own counter: the step that it began last. It goes on when nothing is recorded any more. */
  readonly begun: number
  readonly first: number
  readonly last: number
  readonly #bytes: Buffer

  /** Throws where a record is not the one after that before it: then it was overwritten, or never written. */
  constructor(begun: number, bytes: Buffer) {
    const count = bytes.length / slotBytes
    if (count < 1 || !Number.isInteger(count)) throw new RangeError(`${bytes.length} bytes are no records`)
    this.begun = begun
    this.#bytes = bytes
    this.first = this.#stepOf(0)
    this.last = this.first + count - 1
    for (let index = 0; index < count; index++) {
      const step = this.#stepOf(index)
      if (step !== this.first + index) {
        throw new RangeError(`the record of step ${step} is where that of ${this.first + index} should be`)
      }
    }
  }

  /** The record of a step from `first` to `last`. */
  at(step: number): Draw {
    if (step < this.first || step > this.last) {
      throw new RangeError(`step ${step} is not on record: ${this.first} to ${this.last} are`)
    }
    return readRecord(this.#bytes.subarray(slotBytes * (step - this.first)))
  }

  /** All records from a step on. */
  from(step: number): Draw[] {
    return Array.from({ length: Math.max(0, this.last - step + 1) }, (_, index) => this.at(step + index))
  }

  #stepOf(index: number): number {
    return Number(this.#bytes.readBigUInt64LE(slotBytes * index))
  }
}
