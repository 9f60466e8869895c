import { spared } from './debt.ts'
import type { OrchestratorEffect, QuiesceOutcome } from './events.ts'
import { closeEntry, note, noteAnswer, openEntry } from './log.ts'
import { areDeadlinesHeld, type OrchestratorState, type PlannedSnapshot } from './state.ts'
import { andThen, type EventOf, type Step } from './step.ts'
import type { WatcherRecord } from './watcher-table.ts'

const usecPerMs = 1000
/** How long the freeze may take, whatever the freezer's own deadlines are. */
const freezingMs = 30_000

/** Whether a snapshot can be planned now. */
export function canQuiesce(state: OrchestratorState): boolean {
  return state.phase === 'running' && !state.pending
}

/** Watchers are asked first, one after another. */
export function quiesce(state: OrchestratorState, event: EventOf<'quiesce'>): Step {
  if (!canQuiesce(state)) return [state, []]
  const { nowUsec, reason, deadlineMs, thawAfterMs, force, callerPid } = event
  const snapshot: PlannedSnapshot = {
    quiesce: state.quiesces + 1,
    reason,
    callerPid,
    force,
    step: 'watchers',
    asking: undefined,
    deadlineUsec: nowUsec + deadlineMs * usecPerMs,
    thawAfterMs,
    thawAtUsec: undefined,
    frozen: [],
    running: [],
  }
  const quiescing = { ...state, phase: 'quiescing', quiesces: snapshot.quiesce, snapshot } as const
  const begun: Step = [
    note(openEntry(quiescing), 'quiesce-requested', nowUsec),
    [
      { type: 'publish', change: 'phase' },
      { type: 'announce', event: 'quiesce' },
    ],
  ]
  return andThen(
    andThen(begun, (next) => goOn(next, nowUsec)),
    (next) => [next, [{ type: 'rearm' }]],
  )
}

/** Whether an answer about this planned snapshot can be taken: nobody has a say in it who was not asked. */
export function isAsked({ snapshot, watchers }: OrchestratorState, id: string, quiesce: number): boolean {
  const isOpen = snapshot?.quiesce === quiesce && snapshot.step === 'watchers'
  return isOpen && watchers.get(id)?.askedFor === quiesce
}

/** The answer of the watcher that was asked, or of one that answers late. */
export function takePrepared(state: OrchestratorState, event: EventOf<'prepared'>): Step {
  const { snapshot } = state
  const { id, veto, nowUsec } = event
  const watcher = state.watchers.get(id)
  if (!snapshot || !watcher || !isAsked(state, id, event.quiesce)) return [state, []]
  const noted = noteAnswer(state, watcher, veto === undefined ? 'prepared' : 'vetoed', nowUsec, veto)
  if (veto !== undefined && !snapshot.force) {
    const { name, owner } = watcher
    return undo(noted, { how: 'vetoed', name, pid: owner.pid, detail: veto }, nowUsec)
  }
  if (snapshot.asking !== id) return [noted, []]
  return goOn({ ...noted, snapshot: { ...snapshot, asking: undefined } }, nowUsec)
}

/** Asks the next watcher, or has the workload frozen when all are prepared. Nothing if one is being asked. */
export function goOn(state: OrchestratorState, nowUsec: number): Step {
  const { snapshot } = state
  // A restore ends the planned snapshot: what has begun is not carried further.
  if (snapshot?.step !== 'watchers' || state.pending) return [state, []]
  const asked = state.watchers.get(snapshot.asking ?? '')
  if (asked && asked.absentUntilUsec === undefined) return [state, []]
  const watcher = lastRegistered(state, snapshot)
  if (!watcher) return freeze(state, snapshot, nowUsec)
  const watchers = state.watchers.with({ ...watcher, askedFor: snapshot.quiesce })
  return [
    { ...state, watchers, snapshot: { ...snapshot, asking: watcher.id } },
    [{ type: 'ask', id: watcher.id }],
  ]
}

export function takeFrozen(state: OrchestratorState, event: EventOf<'frozen'>): Step {
  const { snapshot } = state
  const { nowUsec, frozen, running } = event
  if (snapshot?.quiesce !== event.quiesce) return thawLeftOver(state)
  // The restore that has come thaws it, after the page has changed. Nobody is told to take a snapshot now.
  if (state.pending || snapshot.step !== 'freezing') return [state, []]
  const thawAtUsec = nowUsec + snapshot.thawAfterMs * usecPerMs
  const quiesced: OrchestratorState = {
    ...state,
    phase: 'quiesced',
    snapshot: { ...snapshot, step: 'frozen', thawAtUsec, frozen, running },
  }
  return [
    note(quiesced, 'frozen', nowUsec),
    [
      { type: 'publish', change: 'phase' },
      // Once more, now that who is frozen cannot write and who is not sees the phase: what was written since the first time.
      { type: 'wipe-memory' },
      { type: 'announce', event: 'quiesce' },
      { type: 'rearm' },
    ],
  ]
}

export function takeNotFrozen(state: OrchestratorState, event: EventOf<'not-frozen'>): Step {
  if (state.snapshot?.quiesce !== event.quiesce) return thawLeftOver(state)
  return undo(state, { how: 'failed', detail: event.detail }, event.nowUsec)
}

/** What was to be frozen for a snapshot that is over was thawed before it was frozen. */
function thawLeftOver(state: OrchestratorState): Step {
  const { snapshot, pending } = state
  // A restore thaws it after the page has changed, and a later snapshot freezes it again, and thaws it at its end.
  const staysFrozen = pending !== undefined || (snapshot !== undefined && snapshot.step !== 'watchers')
  return [state, staysFrozen ? [] : [{ type: 'thaw' }]]
}

/** Ends a planned snapshot of which there is no restore: everything goes on as before. */
export function undo(
  state: OrchestratorState,
  outcome: Exclude<QuiesceOutcome, { how: 'restored' }>,
  nowUsec: number,
): Step {
  const { snapshot } = state
  // With a restore under way it ends in a new generation, and nothing is thawed before that.
  if (!snapshot || state.pending) return [state, []]
  const untilUsec = nowUsec + state.limits.graceMs * usecPerMs
  const stoodStill = areDeadlinesHeld(state)
  const watchers = stoodStill ? state.watchers.map((each) => spared(each, untilUsec)) : state.watchers
  const ended: OrchestratorState = { ...state, watchers, phase: 'running', snapshot: undefined }
  const effects: OrchestratorEffect[] = [
    // First the page: who is thawed must not find it quiesced.
    { type: 'publish', change: 'phase' },
    { type: 'thaw' },
    { type: 'announce', event: 'resumed' },
    { type: 'quiesce-ended', quiesce: snapshot.quiesce, outcome },
    { type: 'rearm' },
  ]
  return [closeEntry(ended, outcome.how, describe(outcome)), effects]
}

/** The deadline of those who prepare, and of the freezer. */
export function passPreparation(state: OrchestratorState, nowUsec: number): Step {
  const { snapshot, pending } = state
  // A restore ends the planned snapshot, forced or not: nothing is frozen for it any more.
  if (pending || !snapshot || snapshot.step === 'frozen' || snapshot.deadlineUsec > nowUsec)
    return [state, []]
  if (snapshot.step === 'freezing')
    return undo(state, { how: 'failed', detail: 'the workload was not frozen in time' }, nowUsec)
  if (snapshot.force) return freeze(state, snapshot, nowUsec)
  const slow = state.watchers.get(snapshot.asking ?? '')
  const who = slow ? `${slow.name} (pid ${slow.owner.pid})` : 'a watcher'
  return undo(state, { how: 'failed', detail: `${who} did not prepare in time` }, nowUsec)
}

function freeze(state: OrchestratorState, snapshot: PlannedSnapshot, nowUsec: number): Step {
  const prepared = note(state, 'watchers-prepared', nowUsec)
  return [
    {
      ...prepared,
      snapshot: {
        ...snapshot,
        step: 'freezing',
        asking: undefined,
        deadlineUsec: nowUsec + freezingMs * usecPerMs,
      },
    },
    [
      { type: 'wipe-memory' },
      { type: 'freeze', quiesce: snapshot.quiesce, callerPid: snapshot.callerPid },
      { type: 'rearm' },
    ],
  ]
}

/** Who is to be asked next: the one that was registered last, of those that were not asked. */
function lastRegistered(
  { watchers }: OrchestratorState,
  { quiesce }: PlannedSnapshot,
): WatcherRecord | undefined {
  let last: WatcherRecord | undefined
  for (const watcher of watchers) {
    const { beforeSnapshot, askedFor, absentUntilUsec } = watcher
    if (!beforeSnapshot || askedFor === quiesce || absentUntilUsec !== undefined) continue
    if (!last || isLater(watcher, last)) last = watcher
  }
  return last
}

function isLater(a: WatcherRecord, b: WatcherRecord): boolean {
  if (a.registeredAtUsec !== b.registeredAtUsec) return a.registeredAtUsec > b.registeredAtUsec
  return Number(a.id) > Number(b.id)
}

function describe(outcome: Exclude<QuiesceOutcome, { how: 'restored' }>): string {
  return outcome.how === 'vetoed' ? `${outcome.name}: ${outcome.detail}` : outcome.detail
}
