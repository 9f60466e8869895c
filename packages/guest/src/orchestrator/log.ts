import type { Answer, AnswerKind, LogEntry, LogOutcome, LogStep } from 'snapsafe/protocol'
import type { OrchestratorEffect } from './events.ts'
import type { OrchestratorState } from './state.ts'
import type { WatcherRecord } from './watcher-table.ts'

const maxEntries = 32
/** Of one entry. Beyond it, answers that nobody will look for make room. */
const maxAnswers = 200
/** Of one user but root: nobody takes the room of the others. */
const maxAnswersPerUser = 50
/** What a watcher may say as often as it likes. */
const saidByWatchers: ReadonlySet<AnswerKind> = new Set(['prepared', 'vetoed', 'confirmed', 'failed'])
/** A storm of restores is no better told by each of them. */
const maxSteps = 100

/** The steps of an entry; see LogStep in the interface. */
export type LogStepName =
  | 'quiesce-requested'
  | 'watchers-prepared'
  | 'memory-wiped'
  | 'frozen'
  | 'restore-declared'
  | 'kernel-unique'
  | 'page-changed'
  | 'thawed'
  | `told-${WatcherRecord['stage']}`
  | 'ready'
  | 'quiesce-ended'

/** Begins an entry, unless one is open. */
export function openEntry(state: OrchestratorState): OrchestratorState {
  const last = state.log.at(-1)
  if (last?.outcome === 'open') return state
  const entry: LogEntry = {
    ...whatIs(state),
    entry: (last?.entry ?? 0) + 1,
    outcome: 'open',
    steps: [],
    answers: [],
    answersLeftOut: 0,
  }
  return { ...state, log: [...state.log, entry].slice(-maxEntries) }
}

/** The step that an effect is, when it is done; undefined for one that nobody looks for. `before`: the state that it came from. */
export function stepOf(
  effect: OrchestratorEffect,
  before: OrchestratorState,
  after: OrchestratorState,
): LogStepName | undefined {
  switch (effect.type) {
    case 'wipe-memory':
      return 'memory-wiped'
    case 'publish':
      return hasUndone(after, 'kernel-unique', 'page-changed') ? 'page-changed' : undefined
    case 'thaw':
      return isFreezing(before) || hasUndone(after, 'frozen', 'thawed') ? 'thawed' : undefined
    case 'tell':
      return `told-${effect.stage}`
    case 'announce':
      return effect.event === 'ready' ? 'ready' : undefined
    case 'quiesce-ended':
      return effect.outcome.how === 'restored' ? undefined : 'quiesce-ended'
    default:
      return undefined
  }
}

/** Whether the last entry has a step and not the one that follows from it: a daemon may have died in between. */
function hasUndone({ log }: OrchestratorState, step: LogStepName, following: LogStepName): boolean {
  const steps = log.at(-1)?.steps.map((each) => each.step) ?? []
  return steps.includes(step) && !steps.includes(following)
}

function isFreezing({ snapshot }: OrchestratorState): boolean {
  return snapshot !== undefined && snapshot.step !== 'watchers'
}

/** Adds what was done, with the time at which it was, to an entry; also to one that ended in it. */
export function noteDone(
  state: OrchestratorState,
  number: number,
  steps: readonly LogStep[],
): OrchestratorState {
  const index = state.log.findLastIndex(({ entry }) => entry === number)
  const entry = state.log[index]
  if (!entry) return state
  const noted = { ...entry, steps: [...entry.steps, ...steps].slice(-maxSteps) }
  return { ...state, log: state.log.with(index, noted) }
}

/** Adds a step that has come about by an event to the open entry. */
export function note(state: OrchestratorState, step: LogStepName, atUsec: number): OrchestratorState {
  return change(state, (entry) =>
    entry.outcome === 'open'
      ? { ...entry, ...whatIs(state), steps: [...entry.steps, { step, atUsec }].slice(-maxSteps) }
      : entry,
  )
}

/** Adds what a watcher said, or what became of it; also to an entry that has ended, for who answers late. */
export function noteAnswer(
  state: OrchestratorState,
  watcher: WatcherRecord,
  answer: AnswerKind,
  atUsec: number,
  detail?: string,
): OrchestratorState {
  const { name, owner, stage } = watcher
  const { pid, uid } = owner
  const made: Answer = { name, pid, uid, stage, answer, ...(detail !== undefined && { detail }), atUsec }
  // Who still owes answers for the first time. Whatever is said again takes the place of what was said before.
  const isRepeated = saidByWatchers.has(answer) && watcher.owing !== 'pending'
  return change(state, (entry) => {
    const before = isRepeated ? entry.answers.findLastIndex((one) => isSame(one, made)) : -1
    const answers = before === -1 ? entry.answers : entry.answers.toSpliced(before, 1)
    return { ...entry, ...roomFor({ ...entry, answers }, made) }
  })
}

/** Takes one more sign of a restore that is in the log already. */
export function refreshEntry(state: OrchestratorState): OrchestratorState {
  return change(state, (entry) =>
    entry.outcome === 'open' || entry.generation === state.generation
      ? { ...entry, evidence: [...state.evidence] }
      : entry,
  )
}

export function closeEntry(
  state: OrchestratorState,
  outcome: LogOutcome,
  detail?: string,
): OrchestratorState {
  return change(state, (entry) =>
    entry.outcome === 'open'
      ? { ...entry, ...whatIs(state), outcome, ...(detail !== undefined && { detail }) }
      : entry,
  )
}

function change(state: OrchestratorState, to: (entry: LogEntry) => LogEntry): OrchestratorState {
  const last = state.log.at(-1)
  return last ? { ...state, log: state.log.with(-1, to(last)) } : state
}

function whatIs(
  state: OrchestratorState,
): Omit<LogEntry, 'entry' | 'outcome' | 'steps' | 'answers' | 'answersLeftOut'> {
  const { generation, generationId, cause, reason, kernelRandom, evidence } = state
  return {
    generation,
    generationId,
    cause,
    ...(reason !== undefined && { reason }),
    kernelRandom,
    evidence: [...evidence],
  }
}

/** Whoever has done as he should is the first to be forgotten, the earliest before the others. */
function roomFor(entry: LogEntry, made: Answer): Pick<LogEntry, 'answers' | 'answersLeftOut'> {
  const { answers, answersLeftOut } = entry
  // A user who has had his share makes room among his own.
  const hasHadShare = made.uid !== 0 && answersOf(answers, made.uid) >= maxAnswersPerUser
  if (!hasHadShare && answers.length < maxAnswers) return { answers: [...answers, made], answersLeftOut }
  const dispensable = answers.findIndex(
    ({ answer, uid }) =>
      (answer === 'confirmed' || answer === 'prepared') && (!hasHadShare || uid === made.uid),
  )
  if (dispensable === -1) return { answers, answersLeftOut: answersLeftOut + 1 }
  return { answers: [...answers.toSpliced(dispensable, 1), made], answersLeftOut: answersLeftOut + 1 }
}

function answersOf(answers: readonly Answer[], user: number): number {
  return answers.reduce((sum, { uid }) => (uid === user ? sum + 1 : sum), 0)
}

function isSame(one: Answer, other: Answer): boolean {
  const { name, pid, uid, stage, answer } = one
  return (
    name === other.name &&
    pid === other.pid &&
    uid === other.uid &&
    stage === other.stage &&
    answer === other.answer
  )
}
