import { due, free, released, spared, withDebtOf } from './debt.ts'
import type { OrchestratorEffect } from './events.ts'
import { noteAnswer } from './log.ts'
import { goOn } from './quiesce.ts'
import { settle } from './settle.ts'
import { hasBegun } from './stages.ts'
import { areDeadlinesHeld, type OrchestratorState } from './state.ts'
import { andThen, type EventOf, type Step } from './step.ts'
import { isBlocking, type WatcherRecord, type WatcherTable } from './watcher-table.ts'

const usecPerMs = 1000
/** How long a restart or a kill may take before nobody waits for its outcome any more. */
const enforcementMs = 10_000

export function join(state: OrchestratorState, event: EventOf<'watcher-joined'>): Step {
  const { type: _, nowUsec, ...declared } = event
  const fresh: WatcherRecord = { ...declared, owing: 'no' }
  const before = findAbsent(state.watchers, fresh)
  const watchers = before ? state.watchers.without(before.id) : state.watchers
  const known = { ...state, lastWatcher: Math.max(state.lastWatcher, Number(event.id)) }
  const joined = watchers.with(arrival(known, fresh, before, nowUsec))
  return andThen(change(known, joined, nowUsec), (next) => [next, [{ type: 'rearm' }]])
}

/** Its connection is gone. Whoever owes something and lives may come back to it; whoever does not owes nothing. */
export function leave(state: OrchestratorState, event: EventOf<'watcher-left'>): Step {
  const { id, mayReturn, nowUsec } = event
  const watcher = state.watchers.get(id)
  if (!watcher) return [state, []]
  if (mayReturn && isBlocking(watcher)) {
    const absent = { ...watcher, absentUntilUsec: nowUsec + state.limits.graceMs * usecPerMs }
    const left = andThen(change(state, state.watchers.with(absent), nowUsec), (next) => goOn(next, nowUsec))
    return andThen(left, (next) => [next, [{ type: 'rearm' }]])
  }
  const gone = isBlocking(watcher) ? noteAnswer(state, watcher, 'left', nowUsec) : state
  return andThen(change(gone, gone.watchers.without(id), nowUsec), (next) => goOn(next, nowUsec))
}

/**
 * The daemon that had their connections is no more: whoever lives may come back, but for those whose connections the next one
 * has. Nobody is waited for who does not live.
 */
export function loseConnections(
  state: OrchestratorState,
  { connected, dead, nowUsec }: EventOf<'restarted'>,
): OrchestratorState {
  const here = new Set(connected)
  const gone = new Set(dead)
  const absentUntilUsec = nowUsec + state.limits.graceMs * usecPerMs
  let noted = state
  for (const watcher of state.watchers) {
    if (gone.has(watcher.id) && isBlocking(watcher)) noted = noteAnswer(noted, watcher, 'left', nowUsec)
  }
  const watchers = state.watchers.map((watcher) => {
    if (here.has(watcher.id)) return spared(watcher, absentUntilUsec)
    if (gone.has(watcher.id) || !watcher.tracked) return undefined
    return { ...spared(watcher, absentUntilUsec), absentUntilUsec }
  })
  return { ...noted, watchers }
}

export function confirm(state: OrchestratorState, event: EventOf<'confirmed'>): Step {
  const { generation, failure, nowUsec } = event
  const watcher = state.watchers.get(event.id)
  if (!watcher || generation !== state.generation) return [state, []]
  if (failure === undefined) {
    const settled = { ...free(watcher), adjustedTo: generation }
    // Who owed nothing has not told anything.
    const noted = watcher.owing === 'no' ? state : noteAnswer(state, watcher, 'confirmed', nowUsec)
    return change(noted, state.watchers.with(settled), nowUsec)
  }
  if (!watcher.tracked) return [state, []]
  const noted = noteAnswer(state, watcher, 'failed', nowUsec, failure)
  const failed: WatcherRecord = {
    ...watcher,
    owing: 'failed',
    sinceUsec: watcher.sinceUsec ?? nowUsec,
    failure,
  }
  // What is configured has been done about it: nobody puts off `ready` by failing again and again.
  if (watcher.owing === 'deadline' || watcher.owing === 'failed')
    return change(noted, noted.watchers.with(failed), nowUsec)
  const { dueAtUsec: _, ...rest } = failed
  return dispose(noted, rest, nowUsec)
}

/** What was to be done about a watcher failed: it is reported, like others, and waited for no longer. */
export function giveUpOn(state: OrchestratorState, event: EventOf<'not-enforced'>): Step {
  const watcher = state.watchers.get(event.id)
  if (!watcher?.held) return [state, []]
  const noted = noteAnswer(state, watcher, 'late', event.nowUsec, event.detail)
  return change(noted, state.watchers.with(released(watcher)), event.nowUsec)
}

/** Everything about watchers that time brings about. */
export function passTime(state: OrchestratorState, nowUsec: number): Step {
  // All who do not come back first: who is gone makes nobody's ready a degraded one.
  let step = passAbsence(state, nowUsec)
  if (areDeadlinesHeld(state)) return step
  for (const watcher of step[0].watchers) {
    const { dueAtUsec } = watcher
    if (dueAtUsec === undefined || dueAtUsec > nowUsec) continue
    step = andThen(step, (next) => passDeadline(next, watcher, nowUsec))
  }
  return step
}

function passAbsence(state: OrchestratorState, nowUsec: number): Step {
  let next = state
  for (const watcher of state.watchers) {
    const { id, absentUntilUsec } = watcher
    if (absentUntilUsec === undefined || absentUntilUsec > nowUsec) continue
    const noted = isBlocking(watcher) ? noteAnswer(next, watcher, 'left', nowUsec) : next
    next = { ...noted, watchers: next.watchers.without(id) }
  }
  return next === state ? [state, []] : follow(next, state.watchers, nowUsec)
}

/** A watcher that comes: new, or back to what it owes. */
function arrival(
  state: OrchestratorState,
  fresh: WatcherRecord,
  before: WatcherRecord | undefined,
  nowUsec: number,
): WatcherRecord {
  if (fresh.adjustedTo === state.generation || !fresh.tracked) return fresh
  const { stage, stageBeganUsec, limits } = state
  if (before && (before.owing === 'deadline' || before.owing === 'failed')) return withDebtOf(before, fresh)
  const owes: WatcherRecord = { ...fresh, owing: 'pending', sinceUsec: before?.sinceUsec ?? nowUsec }
  if (state.phase === 'adjusting' && !hasBegun(fresh.stage, stage)) return owes
  if (before?.dueAtUsec !== undefined) return { ...owes, dueAtUsec: before.dueAtUsec }
  // Who comes late shares the time that its stage has: nobody can put off `ready` by joining again and again.
  const endUsec = stageBeganUsec + limits.maxDeadlineMs * usecPerMs
  const told = due(owes, nowUsec, fresh.deadlineMs)
  if (state.phase !== 'adjusting') return told
  return { ...told, dueAtUsec: Math.min(told.dueAtUsec, Math.max(nowUsec, endUsec)) }
}

/** The same watcher of the same process, whose connection was lost. */
function findAbsent(watchers: WatcherTable, { name, owner }: WatcherRecord): WatcherRecord | undefined {
  if (watchers.absent === 0) return undefined
  for (const watcher of watchers) {
    const { pid, uid, startTicks } = watcher.owner
    const isOwner = pid === owner.pid && uid === owner.uid && startTicks === owner.startTicks
    if (watcher.absentUntilUsec !== undefined && watcher.name === name && isOwner) return watcher
  }
  return undefined
}

function passDeadline(state: OrchestratorState, watcher: WatcherRecord, nowUsec: number): Step {
  // The second deadline of one that was to be restarted or killed, and is still there.
  if (watcher.held) return change(state, state.watchers.with(released(watcher)), nowUsec)
  const { dueAtUsec: _, ...rest } = watcher
  return dispose(state, { ...rest, owing: 'deadline' }, nowUsec)
}

/** Does what is configured about a watcher that has not adjusted. */
function dispose(state: OrchestratorState, watcher: WatcherRecord, nowUsec: number): Step {
  const { policy, id } = watcher
  const isLate = watcher.owing === 'deadline'
  if (policy === 'report') {
    const noted = isLate ? noteAnswer(state, watcher, 'late', nowUsec) : state
    return change(noted, state.watchers.with(watcher), nowUsec)
  }
  if (policy === 'hold') {
    const noted = isLate ? noteAnswer(state, watcher, 'held', nowUsec) : state
    return change(noted, state.watchers.with({ ...watcher, held: true }), nowUsec)
  }
  const noted = noteAnswer(state, watcher, policy === 'kill' ? 'killed' : 'restarted', nowUsec)
  const held = due({ ...watcher, held: true }, nowUsec, enforcementMs)
  const enforce: OrchestratorEffect = { type: 'enforce', id, policy }
  return andThen(change(noted, noted.watchers.with(held), nowUsec), (next) => [
    next,
    [enforce, { type: 'rearm' }],
  ])
}

/** Takes over a changed table, with what follows from it. */
function change(state: OrchestratorState, watchers: WatcherTable, nowUsec: number): Step {
  return follow({ ...state, watchers }, state.watchers, nowUsec)
}

/** What follows from a table that was another before. */
function follow(state: OrchestratorState, before: WatcherTable, nowUsec: number): Step {
  const { tracked, outdated } = state.watchers
  const same = before.tracked === tracked && before.outdated === outdated
  const [next, effects] = settle(state, nowUsec)
  const shown = same || effects.some((effect) => effect.type === 'publish')
  return [next, shown ? effects : [{ type: 'publish', change: 'counts' }, ...effects]]
}
