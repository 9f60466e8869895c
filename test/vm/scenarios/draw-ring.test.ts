import { describe, expect, it } from 'vitest'
import { DrawRecords, readHeader, recordRanges, slotBytes } from './draw-ring.ts'

/** Records as the loops write them, of these steps. */
function bytesOf(...steps: number[]): Buffer {
  const slots = steps.map((step) => {
    const slot = Buffer.alloc(slotBytes)
    slot.writeBigUInt64LE(BigInt(step), 0)
    slot.writeBigUInt64LE(2n ** 60n + BigInt(step), 8)
    slot.writeUInt32LE(7, 16)
    slot.writeBigUInt64BE(BigInt(step), 24)
    return slot
  })
  return Buffer.concat(slots)
}

describe('where the records are', () => {
  it('is behind the header, in one piece', () => {
    expect(recordRanges(1, 3, 8)).toEqual([{ offset: 2 * slotBytes, bytes: 3 * slotBytes }])
  })

  it('is two pieces where the ring begins anew', () => {
    expect(recordRanges(14, 17, 8)).toEqual([
      { offset: 7 * slotBytes, bytes: 2 * slotBytes },
      { offset: slotBytes, bytes: 2 * slotBytes },
    ])
  })

  it('is all of the ring at most: what would be overwritten is not asked for', () => {
    expect(recordRanges(8, 15, 8)).toEqual([{ offset: slotBytes, bytes: 8 * slotBytes }])
    expect(() => recordRanges(8, 16, 8)).toThrow('does not hold 9')
  })
})

describe('records', () => {
  it('are read field by field', () => {
    const records = new DrawRecords(9, bytesOf(5, 6, 7))
    expect([records.begun, records.first, records.last]).toEqual([9, 5, 7])
    expect(records.at(6)).toEqual({
      step: 6,
      beginNs: 2n ** 60n + 6n,
      generation: 7,
      value: '0000000000000006',
    })
    expect(records.from(6).map(({ step }) => step)).toEqual([6, 7])
    expect(records.from(8)).toEqual([])
    expect(() => records.at(8)).toThrow('5 to 7 are')
  })

  it('are refused where one was overwritten, or never written', () => {
    expect(() => new DrawRecords(13, bytesOf(5, 13, 7))).toThrow(
      'the record of step 13 is where that of 6 should be',
    )
    expect(() => new DrawRecords(5, bytesOf(5).subarray(1))).toThrow('no records')
    expect(() => new DrawRecords(0, Buffer.alloc(0))).toThrow('no records')
  })

  it('follow a header with the counter and the size of the ring', () => {
    const header = Buffer.alloc(slotBytes)
    header.writeBigUInt64LE(12n, 0)
    header.writeBigUInt64LE(8n, 8)
    expect(readHeader(header)).toEqual({ begun: 12, records: 8 })
  })
})
