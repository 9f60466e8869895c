import type { OrchestratorEvent } from './events.ts'
import { noteDone } from './log.ts'
import {
  isAsked,
  passPreparation,
  quiesce,
  takeFrozen,
  takeNotFrozen,
  takePrepared,
  undo,
} from './quiesce.ts'
import { addEvidence, beginGeneration, declareAgain, declareRestore } from './restore.ts'
import { settle } from './settle.ts'
import type { OrchestratorState } from './state.ts'
import { andThen, type EventOf, type Step } from './step.ts'
import type { WatcherOwner } from './watcher-table.ts'
import { confirm, giveUpOn, join, leave, loseConnections, passTime } from './watchers.ts'

/**
 * The life of a restore and of a planned snapshot, as a function: it does nothing, knows no time but the event's, and is
 * deterministic.
 *
 * It promises: the generation grows by one for each declared restore, and only after `kernel-unique` answered the last
 * `make-kernel-unique`; the phase becomes `running` after that only when no tracked watcher of the current generation is
 * waited for; nothing is thawed while a restore waits for its generation.
 */
export function step(state: OrchestratorState, event: OrchestratorEvent): Step {
  switch (event.type) {
    case 'restore':
      return declareRestore(state, event)
    case 'evidence':
      return addEvidence(state, event)
    case 'kernel-unique':
      return beginGeneration(state, event)
    case 'watcher-joined':
      return join(state, event)
    case 'watcher-left':
      return leave(state, event)
    case 'confirmed':
      return confirm(state, event)
    case 'not-enforced':
      return giveUpOn(state, event)
    case 'quiesce':
      return quiesce(state, event)
    case 'prepared':
      return takePrepared(state, event)
    case 'frozen':
      return takeFrozen(state, event)
    case 'not-frozen':
      return takeNotFrozen(state, event)
    case 'resume':
      return undo(state, { how: event.outcome, detail: event.detail }, event.nowUsec)
    case 'release':
      return release(state, event.detail, event.nowUsec)
    case 'done':
      return [noteDone(state, event.entry, event.steps), []]
    case 'restarted':
      return restart(state, event)
    case 'time':
      return pass(state, event.nowUsec)
    default:
      return event satisfies never
  }
}

/** Why a confirmation cannot be taken, or `ok`. Ask before `confirmed`. */
export function checkConfirmation(
  state: OrchestratorState,
  id: string,
  claimant: WatcherOwner,
  generation: number,
): 'ok' | 'no-such-watcher' | 'not-owner' | 'stale' {
  const verdict = checkOwner(state, id, claimant)
  if (verdict !== 'ok') return verdict
  // A restore whose generation is not out yet makes every confirmation one of the past.
  return generation === state.generation && !state.pending ? 'ok' : 'stale'
}

/** Why an answer to `ask` cannot be taken, or `ok`. Ask before `prepared`. */
export function checkPrepared(
  state: OrchestratorState,
  id: string,
  claimant: WatcherOwner,
  quiesce: number,
): 'ok' | 'no-such-watcher' | 'not-owner' | 'stale' {
  const verdict = checkOwner(state, id, claimant)
  if (verdict !== 'ok') return verdict
  return isAsked(state, id, quiesce) ? 'ok' : 'stale'
}

/** Whether a process may speak for a watcher: it is the one that registered, and not another with its pid. */
export function checkOwner(
  state: OrchestratorState,
  id: string,
  claimant: WatcherOwner,
): 'ok' | 'no-such-watcher' | 'not-owner' {
  const watcher = state.watchers.get(id)
  if (!watcher) return 'no-such-watcher'
  const { pid, uid, startTicks } = watcher.owner
  // Of an owner that had ended when it registered, and of those of other PID namespaces, no more is known.
  const isSame = startTicks === 0 || startTicks === claimant.startTicks
  return pid === claimant.pid && uid === claimant.uid && isSame ? 'ok' : 'not-owner'
}

/** Ends what would leave somebody frozen. Whether a frozen workload is the original's or a copy's, nobody can know. */
function release(state: OrchestratorState, detail: string, nowUsec: number): Step {
  const { snapshot } = state
  if (!snapshot) return [state, state.pending ? [] : [{ type: 'thaw' }]]
  if (snapshot.step !== 'frozen') return undo(state, { how: 'failed', detail }, nowUsec)
  if (state.pending) return [state, []]
  const evidence = { source: 'daemon', detail, atUsec: nowUsec }
  return declareRestore(state, { nowUsec, cause: 'ambiguous', evidence, kernelReseeded: false })
}

/** Connections are gone, but for those that were kept; those who live and are waited for may come back. */
function restart(state: OrchestratorState, event: EventOf<'restarted'>): Step {
  const left = loseConnections(state, event)
  const [next, effects] = left.pending ? declareAgain(left, left.pending) : settle(left, event.nowUsec)
  const mayBeFrozen = !next.snapshot && !next.pending
  return [
    next,
    [
      // The daemon before may have died before it wrote what it had come to, and nobody is thawed before that.
      { type: 'publish', change: 'generation' },
      ...(mayBeFrozen ? [{ type: 'thaw' } as const] : []),
      ...effects.filter((effect) => effect.type !== 'publish'),
      { type: 'rearm' },
    ],
  ]
}

function pass(state: OrchestratorState, nowUsec: number): Step {
  const passed = andThen(passTime(state, nowUsec), (next) => passPreparation(next, nowUsec))
  const thawed = andThen(passed, (next) => passThaw(next, nowUsec))
  // The end of the time for others to come back has no watcher.
  const settled = andThen(thawed, (next) => settle(next, nowUsec))
  return andThen(settled, (next) => [next, [{ type: 'rearm' }]])
}

/** Frozen for too long: this may be the original or a late copy, so it is taken for a copy. */
function passThaw(state: OrchestratorState, nowUsec: number): Step {
  const { snapshot, pending } = state
  if (pending || snapshot?.thawAtUsec === undefined || snapshot.thawAtUsec > nowUsec) return [state, []]
  return release(state, 'nobody said how the planned snapshot went on, and its time has passed', nowUsec)
}
