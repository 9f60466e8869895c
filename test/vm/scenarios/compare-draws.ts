import type { DrawRecords } from './draw-ring.ts'
import { sharedValues } from './equal-values.ts'

export const loopNames = ['c', 'node'] as const
export type LoopName = (typeof loopNames)[number]
/** Something of each of the two loops. */
export type OfLoops<T> = Readonly<Record<LoopName, T>>

export interface LoopComparison {
  /** Steps that were begun after the restore with the old generation on the page. */
  readonly stepsBeforeBump: number
  /** Of the results on record that were drawn in steps begun after the restore, how many another clone has as well. */
  readonly equalResults: number
  /** How many such results there are. */
  readonly results: number
  /** The first step that was begun after the restore. */
  readonly firstStep: number
  /** The loop's own counter when its ring was read. */
  readonly steps: number
}

export interface DrawComparison {
  readonly clones: readonly {
    readonly equalResults: number
    readonly loopStepsBeforeBump: number
    readonly loops: OfLoops<LoopComparison>
  }[]
  /** How many values are found in more than one clone. */
  readonly equalResults: number
}

/**
 * Lays the loops of all clones of one snapshot side by side. What was drawn after the restore is compared as sets, and
 * across the loops: streams that are the same need not be read at the same pace, nor by the same program.
 */
export function compareDraws(
  clones: readonly OfLoops<DrawRecords>[],
  generationBefore: number,
): DrawComparison {
  const firstSteps = ofLoops((loop) => firstStepAfterRestore(clones.map((records) => records[loop])))
  const draws = clones.map((records) => ofLoops((loop) => records[loop].from(firstSteps[loop])))
  const shared = sharedValues(
    draws.map(({ c, node }) => ({ value: [...c, ...node].map(({ value }) => value) })),
    'value',
  )
  const reports = clones.map((records, index) => {
    const loops = ofLoops((loop) => {
      const drawn = draws[index]?.[loop] ?? []
      return {
        stepsBeforeBump: drawn.filter(({ generation }) => generation === generationBefore).length,
        equalResults: new Set(drawn.map(({ value }) => value).filter((value) => shared.has(value))).size,
        results: drawn.length,
        firstStep: firstSteps[loop],
        steps: records[loop].begun,
      }
    })
    return {
      equalResults: loops.c.equalResults + loops.node.equalResults,
      loopStepsBeforeBump: loops.c.stepsBeforeBump + loops.node.stepsBeforeBump,
      loops,
    }
  })
  return { clones: reports, equalResults: shared.size }
}

/**
 * The first step of a loop that was begun after the restore. The steps before the snapshot are those that all clones have
 * with the same time: clones that run read different nanoseconds. It takes two clones, and a step from before the snapshot
 * on record in all; without one, nobody knows how much of the time after the restore is missing, and this throws.
 */
export function firstStepAfterRestore(clones: readonly DrawRecords[]): number {
  if (clones.length < 2) throw new RangeError('it takes two clones to see where they part')
  const first = Math.max(...clones.map((records) => records.first))
  const last = Math.min(...clones.map((records) => records.last))
  let step = first
  while (step <= last && new Set(clones.map((records) => records.at(step).beginNs)).size === 1) step++
  if (step === first) {
    throw new RangeError(`no step before the snapshot is on record in all ${clones.length} clones`)
  }
  return step
}

/** A draw that was under way when the loop was frozen: begun before the snapshot, and used after the restore. */
export interface InFlightDraw {
  readonly step: number
  /** How many different results it had in the clones: one for each where it drew after the restore; else 1. */
  readonly differentResults: number
}

/** What became in the clones of the step that one loop was frozen in. */
export function inFlightDraw(clones: readonly DrawRecords[], step: number): InFlightDraw {
  return { step, differentResults: new Set(clones.map((records) => records.at(step).value)).size }
}

/** Makes something of each loop. */
export function ofLoops<T>(make: (loop: LoopName) => T): OfLoops<T> {
  return { c: make('c'), node: make('node') }
}
