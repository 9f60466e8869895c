/**
 * The page's layout: section 4 of the design, and what readers in other languages rely on. Words are in the byte order of
 * the machine: the page never leaves it.
 */
export const pageBytes = 4096

export const layoutVersion = 1
/** The bytes 'S', 'N', 'P', 'S' in memory order, on every machine. */
export const magicBytes: readonly number[] = [0x53, 0x4e, 0x50, 0x53]

export const generationOffset = 0x00
export const phaseOffset = 0x04
export const magicOffset = 0x08
/** Odd while the fields are being written. */
export const sequenceOffset = 0x0c
export const idOffset = 0x10
export const idBytes = 16
export const changedAtOffset = 0x20
export const trackedOffset = 0x28
export const outdatedOffset = 0x2c
export const layoutVersionOffset = 0x30
/** What layout version 1 says anything about; the rest of the page is zero. */
export const headerBytes = 0x34
export const headerWords = headerBytes / 4

/** A phase's number on the page is its index. */
export const phases = ['running', 'quiescing', 'quiesced', 'adjusting'] as const
export type Phase = (typeof phases)[number]

export interface PageSnapshot {
  readonly generation: number
  readonly phase: Phase
  /** The generation id: 32 lower-case hexadecimal digits. */
  readonly id: string
  /** CLOCK_BOOTTIME of the last change of generation. */
  readonly changedAtNs: bigint
  readonly trackedWatchers: number
  readonly outdatedWatchers: number
  readonly layoutVersion: number
}

/** Whether the bytes start with a page of this layout or of a newer one that keeps its fields. */
export function isPage(header: Buffer): boolean {
  return (
    magicBytes.every((byte, index) => header[magicOffset + index] === byte) &&
    new DataView(header.buffer, header.byteOffset).getUint32(layoutVersionOffset, littleEndian) >=
      layoutVersion
  )
}

export const littleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1

/** Takes a consistent copy of the header apart. */
export function decodePage(header: Buffer): PageSnapshot {
  const view = new DataView(header.buffer, header.byteOffset, headerBytes)
  const word = (offset: number): number => view.getUint32(offset, littleEndian)
  return {
    generation: word(generationOffset),
    // A phase that a newer layout may have: whoever cares for phases takes the one that is not ready.
    phase: phases[word(phaseOffset)] ?? 'adjusting',
    id: header.toString('hex', idOffset, idOffset + idBytes),
    changedAtNs: view.getBigUint64(changedAtOffset, littleEndian),
    trackedWatchers: word(trackedOffset),
    outdatedWatchers: word(outdatedOffset),
    layoutVersion: word(layoutVersionOffset),
  }
}
