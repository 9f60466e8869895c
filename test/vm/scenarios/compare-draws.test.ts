import { describe, expect, it } from 'vitest'
import { compareDraws, firstStepAfterRestore, inFlightDraw } from './compare-draws.ts'
import { DrawRecords, slotBytes } from './draw-ring.ts'

/** [begin, generation, value] of consecutive steps. */
type Row = readonly [number, number, number]

function records(first: number, ...rows: Row[]): DrawRecords {
  const bytes = Buffer.alloc(slotBytes * rows.length)
  for (const [index, [begin, generation, value]] of rows.entries()) {
    const slot = bytes.subarray(slotBytes * index)
    slot.writeBigUInt64LE(BigInt(first + index), 0)
    slot.writeBigUInt64LE(BigInt(begin), 8)
    slot.writeUInt32LE(generation, 16)
    slot.writeBigUInt64LE(BigInt(value), 24)
  }
  return new DrawRecords(first + rows.length + 1, bytes)
}

describe('the first step after the restore', () => {
  it('is the first that began at another time in some clone', () => {
    const clones = [
      records(4, [10, 0, 1], [20, 0, 2], [31, 0, 3]),
      records(4, [10, 0, 1], [20, 0, 2], [32, 0, 3]),
      records(4, [10, 0, 1], [20, 0, 2], [31, 0, 3]),
    ]
    expect(firstStepAfterRestore(clones)).toBe(6)
  })

  it('is sought from where all clones have records', () => {
    const clones = [records(4, [10, 0, 1], [20, 0, 2], [31, 0, 3]), records(5, [20, 0, 2], [32, 0, 3])]
    expect(firstStepAfterRestore(clones)).toBe(6)
  })

  it('is not known where no step from before the snapshot is left', () => {
    expect(() => firstStepAfterRestore([records(6, [31, 0, 3]), records(6, [32, 0, 3])])).toThrow(
      'no step before the snapshot',
    )
    expect(() => firstStepAfterRestore([records(4, [10, 0, 1])])).toThrow('two clones')
  })
})

describe('clones side by side', () => {
  const other = records(1, [5, 0, 100], [50, 1, 101])
  const another = records(1, [5, 0, 100], [51, 1, 102])

  it('count what was begun after the restore with the old generation', () => {
    const { clones } = compareDraws(
      [
        { c: records(1, [10, 0, 1], [20, 0, 2], [30, 0, 3], [40, 1, 4]), node: other },
        { c: records(1, [10, 0, 1], [21, 1, 5], [31, 1, 6]), node: another },
      ],
      0,
    )
    expect(clones.map(({ loopStepsBeforeBump }) => loopStepsBeforeBump)).toEqual([2, 0])
    expect(clones[0]?.loops.c).toEqual({
      stepsBeforeBump: 2,
      equalResults: 0,
      results: 3,
      firstStep: 2,
      steps: 6,
    })
  })

  it('find equal results at different steps, and of different loops', () => {
    const { clones, equalResults } = compareDraws(
      [
        { c: records(1, [10, 0, 1], [20, 0, 2], [30, 0, 3]), node: other },
        { c: records(1, [10, 0, 1], [21, 0, 3], [31, 0, 101]), node: another },
        { c: records(1, [10, 0, 1], [22, 0, 8], [32, 0, 9]), node: records(1, [5, 0, 100], [52, 1, 103]) },
      ],
      0,
    )
    expect(equalResults).toBe(2)
    expect(
      clones.map(({ equalResults, loops: { c, node } }) => [equalResults, c.equalResults, node.equalResults]),
    ).toEqual([
      [2, 1, 1],
      [2, 2, 0],
      [0, 0, 0],
    ])
  })

  it('do not count what was drawn before the snapshot, nor what one clone drew twice', () => {
    const { equalResults } = compareDraws(
      [
        { c: records(1, [10, 0, 1], [20, 0, 2], [30, 0, 2]), node: other },
        { c: records(1, [10, 0, 1], [21, 0, 3]), node: another },
      ],
      0,
    )
    expect(equalResults).toBe(0)
  })
})

describe('a draw that the freeze interrupted', () => {
  it('has one result in all clones, or one for each', () => {
    const clones = [records(1, [10, 0, 1], [20, 0, 2]), records(1, [10, 0, 1], [20, 0, 3])]
    expect(inFlightDraw(clones, 1)).toEqual({ step: 1, differentResults: 1 })
    expect(inFlightDraw(clones, 2)).toEqual({ step: 2, differentResults: 2 })
  })
})
