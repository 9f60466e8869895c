import { describe, expect, it } from 'vitest'
import type { DrawCloneReport } from './draw-clones.ts'
import type { PlannedCloneResult } from './planned-clone.ts'
import { findProblems } from './planned-clone-problems.ts'

type Result = Omit<PlannedCloneResult, 'ok' | 'problems'>

const stepNames = [
  'quiesce-requested',
  'frozen',
  'restore-declared',
  'kernel-unique',
  'page-changed',
  'thawed',
  'ready',
]

function clone(changes: Partial<DrawCloneReport> = {}): DrawCloneReport {
  const loop = { stepsBeforeBump: 0, equalResults: 0, results: 100, firstStep: 11, steps: 500 }
  return {
    generation: 1,
    phase: 'running',
    equalResults: 0,
    loopStepsBeforeBump: 0,
    loops: { c: loop, node: loop },
    log: {
      entry: 1,
      outcome: 'ready',
      generation: 1,
      generationId: '00',
      cause: 'clone',
      kernelRandom: 'kernel',
      evidence: [],
      steps: stepNames.map((step, atUsec) => ({ step, atUsec })),
      answers: [],
      answersLeftOut: 0,
    },
    ...changes,
  }
}

function result(changes: Partial<Result> = {}): Result {
  const steps = { c: 10, node: 10 }
  return {
    kernel: '6.12',
    quiesced: {
      phase: 'quiesced',
      frozen: ['/workload'],
      stepsBefore: { c: 5, node: 5 },
      steps,
      stepsLater: steps,
      laterMs: 1000,
    },
    clones: [clone(), clone()],
    equalResults: 0,
    inFlight: { c: null, node: null },
    unplanned: { clones: [clone({ loopStepsBeforeBump: 9, equalResults: 3 })], equalResults: 3 },
    ...changes,
  }
}

function withClone(changes: Partial<DrawCloneReport>): Result {
  return result({ clones: [clone(), clone(changes)] })
}

function withQuiesced(changes: Partial<Result['quiesced']>): Result {
  return result({ quiesced: { ...result().quiesced, ...changes } })
}

describe('the problems of a planned clone', () => {
  it('are none where all went as it should', () => {
    expect(findProblems(result())).toEqual([])
  })

  const { loops, log } = clone()
  const early = log.steps
    .filter(({ step }) => step !== 'thawed')
    .toSpliced(2, 0, { step: 'thawed', atUsec: 2 })
  it.each<[string, Result]>([
    ['after quiesce the phase was running', withQuiesced({ phase: 'running' })],
    ['what was frozen is nothing', withQuiesced({ frozen: [] })],
    ['c did not run before the quiesce', withQuiesced({ stepsBefore: { c: 10, node: 5 } })],
    ['node ran 2 steps while it was to be frozen', withQuiesced({ stepsLater: { c: 10, node: 12 } })],
    ['1 results are in more than one planned clone', result({ equalResults: 1 })],
    ['clone 2: 4 results are those of another clone', withClone({ equalResults: 4 })],
    ['clone 2: 1 steps ran before the bump', withClone({ loopStepsBeforeBump: 1 })],
    [
      'its first after the restore is 12',
      withClone({ loops: { ...loops, c: { ...loops.c, firstStep: 12 } } }),
    ],
    ['drew nothing in the new', withClone({ loops: { ...loops, node: { ...loops.node, results: 0 } } })],
    ['clone 2: the order in its log is frozen, thawed', withClone({ log: { ...log, steps: early } })],
    ['clone 2: it is at generation 2', withClone({ generation: 2 })],
    ['clone 2: its phase is quiesced', withClone({ phase: 'quiesced' })],
    ['clone 2: its log says degraded', withClone({ log: { ...log, outcome: 'degraded' } })],
    ['no loop ran before the bump', result({ unplanned: { clones: [clone()], equalResults: 3 } })],
    [
      'none of 1 unplanned clones repeated another',
      result({ unplanned: { clones: [clone({ loopStepsBeforeBump: 9 })], equalResults: 0 } }),
    ],
  ])('name it: %s', (problem, broken) => {
    const problems = findProblems(broken)
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(problem)
  })
})
