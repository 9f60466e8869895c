import type { Answer, LogEntry, LogStep } from 'snapsafe/protocol'
import { counted } from './describe.ts'
import { table } from './output.ts'
import { afterBoot, milliseconds } from './time.ts'

const answersHead = ['NAME', 'PID', 'USER', 'STAGE', 'ANSWER', 'AFTER', 'DETAIL']
const stepsHead = ['STEP', 'AT', 'SINCE THE LAST']
/** The steps that watchers answer to. */
const questions = ['quiesce-requested', 'page-changed']

/** An entry of the log for people: a head, what was seen, the steps as a timeline, and what watchers answered. */
export function logBlock(entry: LogEntry): string {
  const { evidence, steps, answers, answersLeftOut } = entry
  const parts = [
    table(factsOf(entry)),
    ...(evidence.length > 0 ? [table(evidence.map((each) => ['evidence', describe(each)]))] : []),
    ...(steps.length > 0 ? [table([stepsHead, ...timeline(steps)])] : []),
    ...(answers.length > 0 ? [table([answersHead, ...answers.map((answer) => row(answer, steps))])] : []),
    ...(answersLeftOut > 0
      ? [`${counted(answersLeftOut, 'more answer')}, which the daemon did not keep`]
      : []),
  ]
  return [logHead(entry), ...parts.map(indented)].join('\n')
}

/** An entry in one line. */
export function logHead({ entry, generation, cause, outcome }: LogEntry): string {
  return `entry ${entry}: generation ${generation}, ${cause}, ${outcome}`
}

/** Steps with the time since the first, and since the one before: `frozen`, `12.3 ms`, `+1.0 ms`. */
export function timeline(steps: readonly LogStep[]): string[][] {
  const first = steps[0]?.atUsec ?? 0
  return steps.map(({ step, atUsec }, index) => {
    const before = steps[index - 1]
    return [step, milliseconds(atUsec - first), before ? `+${milliseconds(atUsec - before.atUsec)}` : '']
  })
}

function factsOf({ generationId, reason, detail, kernelRandom, steps }: LogEntry): string[][] {
  const [first] = steps
  return [
    ...(first ? [['began', afterBoot(first.atUsec)]] : []),
    ['id', generationId],
    ...(reason ? [['reason', reason]] : []),
    ...(detail ? [['outcome', detail]] : []),
    ['kernel random', kernelRandom],
  ]
}

function describe({ source, detail, atUsec }: LogEntry['evidence'][number]): string {
  return `${source}: ${detail} (${afterBoot(atUsec)})`
}

function row({ name, pid, uid, stage, answer, detail, atUsec }: Answer, steps: readonly LogStep[]): string[] {
  return [name, `${pid}`, `${uid}`, stage, answer, sinceAsked(atUsec, steps), detail ?? '']
}

/** How long the answer took, from the last time that watchers were asked before it. */
function sinceAsked(atUsec: number, steps: readonly LogStep[]): string {
  const asked = steps.findLast((step) => questions.includes(step.step) && step.atUsec <= atUsec)
  return asked ? milliseconds(atUsec - asked.atUsec) : '-'
}

function indented(text: string): string {
  return text.replace(/^/gm, '  ')
}
