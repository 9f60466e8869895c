import { loopNames } from './compare-draws.ts'
import type { DrawCloneReport } from './draw-clones.ts'
import { workload } from './draw-loops.ts'
import type { PlannedCloneResult, Quiesced } from './planned-clone.ts'

/** The steps of a restore whose order is what a planned snapshot is for. */
const orderedSteps = ['frozen', 'restore-declared', 'kernel-unique', 'page-changed', 'thawed', 'ready']

/** What a result lacks of what the scenario is there to show; also where it would show nothing. */
export function findProblems({
  quiesced,
  clones,
  equalResults,
  unplanned,
}: Omit<PlannedCloneResult, 'ok' | 'problems'>): string[] {
  const problems = quiesceProblems(quiesced)
  for (const [index, clone] of clones.entries()) {
    problems.push(...plannedProblems(clone, quiesced).map((problem) => `clone ${index + 1}: ${problem}`))
  }
  if (equalResults > 0) problems.push(`${equalResults} results are in more than one planned clone`)
  for (const [index, clone] of unplanned.clones.entries()) {
    const who = `unplanned clone ${index + 1}`
    problems.push(...commonProblems(clone).map((problem) => `${who}: ${problem}`))
    if (clone.loopStepsBeforeBump === 0)
      problems.push(`${who}: no loop ran before the bump: this shows nothing`)
  }
  if (unplanned.equalResults === 0) {
    problems.push(`none of ${unplanned.clones.length} unplanned clones repeated another: this shows nothing`)
  }
  return problems
}

function quiesceProblems({ phase, frozen, stepsBefore, steps, stepsLater }: Quiesced): string[] {
  const problems: string[] = []
  if (phase !== 'quiesced') problems.push(`after quiesce the phase was ${phase}`)
  if (!frozen.includes(workload)) problems.push(`what was frozen is ${frozen.join(', ') || 'nothing'}`)
  for (const loop of loopNames) {
    if (steps[loop] === stepsBefore[loop]) problems.push(`${loop} did not run before the quiesce`)
    if (stepsLater[loop] !== steps[loop]) {
      problems.push(`${loop} ran ${stepsLater[loop] - steps[loop]} steps while it was to be frozen`)
    }
  }
  return problems
}

function plannedProblems(clone: DrawCloneReport, { steps }: Quiesced): string[] {
  const problems = commonProblems(clone)
  const { equalResults, loopStepsBeforeBump, loops, log } = clone
  if (equalResults > 0) problems.push(`${equalResults} results are those of another clone`)
  if (loopStepsBeforeBump > 0) problems.push(`${loopStepsBeforeBump} steps ran before the bump`)
  for (const loop of loopNames) {
    // The step that the freeze found is the last one before the restore, or was interrupted before it read the time.
    const { firstStep } = loops[loop]
    if (firstStep !== steps[loop] && firstStep !== steps[loop] + 1) {
      problems.push(
        `${loop} was frozen in step ${steps[loop]}, and its first after the restore is ${firstStep}`,
      )
    }
  }
  const order = log.steps.map(({ step }) => step).filter((step) => orderedSteps.includes(step))
  if (order.join() !== orderedSteps.join()) problems.push(`the order in its log is ${order.join(', ')}`)
  return problems
}

function commonProblems({ generation, phase, loops, log }: DrawCloneReport): string[] {
  const problems: string[] = []
  if (generation !== 1) problems.push(`it is at generation ${generation}`)
  if (phase !== 'running') problems.push(`its phase is ${phase}`)
  if (log.outcome !== 'ready') problems.push(`its log says ${log.outcome}`)
  for (const loop of loopNames) {
    const { results, stepsBeforeBump } = loops[loop]
    if (results <= stepsBeforeBump) problems.push(`${loop} drew nothing in the new generation`)
  }
  return problems
}
