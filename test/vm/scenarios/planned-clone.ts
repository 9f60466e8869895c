import type { State } from 'snapsafe/protocol'
import { type InFlightDraw, inFlightDraw, type OfLoops, ofLoops } from './compare-draws.ts'
import {
  bootDrawGuest,
  type DrawClone,
  type DrawCloneReport,
  makeDrawClone,
  reportDrawClones,
} from './draw-clones.ts'
import { type LoopProgress, readProgress } from './draw-loops.ts'
import { findProblems } from './planned-clone-problems.ts'
import type { Scenario, ScenarioOptions, ScenarioResult } from './scenario.ts'
import { snapsafe } from './snapsafe-guest.ts'

/** It takes two to be equal. In some clones the kernel has reseeded before anybody draws; then more are made. */
const unplannedClones = 2
const mostUnplannedClones = 6

/** Far off: where nothing but the deadline thaws a clone, the scenario shall not take that for success. */
const thawAfter = '5m'
/** Planned clones that are made at a time: most of it is the start of a command in each, which keeps one CPU busy. */
const atOnce = 2

export interface Quiesced {
  readonly phase: string
  readonly frozen: readonly string[]
  /** The loops' own counters: before, at once after the quiesce, and so many milliseconds later. */
  readonly stepsBefore: OfLoops<number>
  readonly steps: OfLoops<number>
  readonly stepsLater: OfLoops<number>
  readonly laterMs: number
}

export interface PlannedCloneResult extends ScenarioResult {
  readonly kernel: string
  readonly quiesced: Quiesced
  readonly clones: readonly DrawCloneReport[]
  /** How many results were drawn after the restore in more than one clone. */
  readonly equalResults: number
  /** A draw of each loop that the freeze interrupted; null where it did not. What it gave is from before the snapshot. */
  readonly inFlight: OfLoops<InFlightDraw | null>
  /** The same guest, cloned as it ran. */
  readonly unplanned: { readonly clones: readonly DrawCloneReport[]; readonly equalResults: number }
}

/** Programs that draw random numbers without pause are frozen before the snapshot, and thawed when their clone is unique. */
export const plannedClone: Scenario<PlannedCloneResult> = {
  name: 'planned-clone',
  summary:
    'programs that draw without pause are quiesced before the snapshot; then the same without a warning',

  async run(options: ScenarioOptions): Promise<PlannedCloneResult> {
    if (options.clones < 2) throw new RangeError('planned-clone compares clones: at least two are wanted')
    const planned = await playPlanned(options)
    const unplanned = await playUnplanned(options)
    const result = { ...planned, unplanned }
    const problems = findProblems(result)
    return { ok: problems.length === 0, problems, ...result }
  },
}

async function playPlanned(options: ScenarioOptions) {
  const { onProgress: say = () => {}, signal } = options
  await using guest = await bootDrawGuest(options)
  const kernel = (await guest.run(['uname', '-r'])).trim()
  say(`guest runs Linux ${kernel}, and two loops that draw without pause; quiescing it`)
  const stepsBefore = await readProgress(guest)
  const before = await snapsafe<State>(
    guest,
    'quiesce',
    '--reason',
    'planned-clone',
    '--thaw-after',
    thawAfter,
  )
  const progress = await readProgress(guest)
  const readAt = performance.now()
  // A program that draws and is not frozen, so that time passes for everybody else.
  await snapsafe<State>(guest, 'status')
  const later = await readProgress(guest)
  const quiesced: Quiesced = {
    phase: before.phase,
    frozen: before.quiesce?.frozen ?? [],
    stepsBefore: begunSteps(stepsBefore),
    steps: begunSteps(progress),
    stepsLater: begunSteps(later),
    laterMs: Math.round(performance.now() - readAt),
  }
  say(`${before.phase}; taking the snapshot at generation ${before.generation}`)
  await using snapshot = await guest.snapshot()
  const clones: DrawClone[] = []
  const makeOne = async (number: number): Promise<void> => {
    say(`clone ${number} of ${options.clones}: starting, with a VMGenID of its own`)
    clones.push(await makeDrawClone(snapshot, later, signal))
  }
  for (let number = 1; number <= options.clones; number += atOnce) {
    const numbers = [...Array(options.clones + 1).keys()].slice(number, number + atOnce)
    const done = await Promise.allSettled(numbers.map(makeOne))
    for (const each of done) if (each.status === 'rejected') throw each.reason
  }
  const report = reportDrawClones(clones, before)
  const inFlight = ofLoops((loop) => {
    const firstStep = report.clones[0]?.loops[loop].firstStep ?? 0
    const { begun, underWay } = later[loop]
    if (!underWay || begun >= firstStep) return null
    return inFlightDraw(
      clones.map(({ records }) => records[loop]),
      begun,
    )
  })
  return { kernel, quiesced, ...report, inFlight }
}

async function playUnplanned(options: ScenarioOptions): Promise<PlannedCloneResult['unplanned']> {
  const { onProgress: say = () => {}, signal } = options
  say('the same without a warning: booting again')
  await using guest = await bootDrawGuest(options)
  const before = await snapsafe<State>(guest, 'status')
  const progress = await readProgress(guest)
  await using snapshot = await guest.snapshot()
  const clones: DrawClone[] = []
  let report: PlannedCloneResult['unplanned'] = { clones: [], equalResults: 0 }
  while (
    clones.length < unplannedClones ||
    (report.equalResults === 0 && clones.length < mostUnplannedClones)
  ) {
    say(`unplanned clone ${clones.length + 1}: starting`)
    clones.push(await makeDrawClone(snapshot, progress, signal))
    if (clones.length >= unplannedClones) report = reportDrawClones(clones, before)
  }
  return report
}

function begunSteps(progress: OfLoops<LoopProgress>): OfLoops<number> {
  return ofLoops((loop) => progress[loop].begun)
}
