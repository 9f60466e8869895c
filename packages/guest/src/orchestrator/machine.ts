import type { OrchestratorEffect, OrchestratorEvent } from './events.ts'
import type { OrchestratorState, PendingRestore } from './state.ts'
import type { WatcherOwner, WatcherRecord, WatcherTable } from './watcher-table.ts'

const usecPerMs = 1000
/** A storm of signs is no better proof than the first few. */
const maxEvidence = 16

type Step = readonly [OrchestratorState, readonly OrchestratorEffect[]]
type Of<T extends OrchestratorEvent['type']> = Extract<OrchestratorEvent, { type: T }>

/**
 * The life of a restore, as a function: it does nothing, knows no time but the event's, and is deterministic.
 *
 * It promises: the generation grows by one for each declared restore, and only after `kernel-unique` answered the last
 * `make-kernel-unique`; the phase becomes `running` only when no tracked watcher of the current generation is pending.
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
      return settle(state, state.watchers.without(event.id), event.nowUsec)
    case 'confirmed':
      return confirm(state, event)
    case 'time':
      return passDeadlines(state, event.nowUsec)
    default:
      return event satisfies never
  }
}

/** Why a confirmation cannot be taken, or `ok`. Ask before `confirmed`. */
export function checkConfirmation(
  state: OrchestratorState,
  id: string,
  owner: WatcherOwner,
  generation: number,
): 'ok' | 'no-such-watcher' | 'not-owner' | 'stale' {
  const watcher = state.watchers.get(id)
  if (!watcher) return 'no-such-watcher'
  if (watcher.owner.pid !== owner.pid || watcher.owner.uid !== owner.uid) return 'not-owner'
  // A restore whose generation is not out yet makes every confirmation one of the past.
  return generation === state.generation && !state.pending ? 'ok' : 'stale'
}

function declareRestore(state: OrchestratorState, event: Of<'restore'>): Step {
  const before = state.pending
  const pending: PendingRestore = {
    attempt: state.attempts + 1,
    restores: (before?.restores ?? 0) + 1,
    minimum: Math.max(before?.minimum ?? 0, event.minimum ?? 0),
    cause: event.cause,
    reason: event.reason,
    evidence: [...(before?.evidence ?? []), event.evidence].slice(-maxEvidence),
  }
  // The reseed of an earlier restore that is still under way may lie before this one, so it is asked for again.
  const { kernelReseeded } = event
  return [
    { ...state, attempts: pending.attempt, pending },
    [{ type: 'make-kernel-unique', attempt: pending.attempt, kernelReseeded }],
  ]
}

function addEvidence(state: OrchestratorState, event: Of<'evidence'>): Step {
  const { pending } = state
  if (pending) {
    const evidence = [...pending.evidence, event.evidence].slice(-maxEvidence)
    return [{ ...state, pending: { ...pending, evidence } }, []]
  }
  return [{ ...state, evidence: [...state.evidence, event.evidence].slice(-maxEvidence) }, []]
}

function beginGeneration(state: OrchestratorState, event: Of<'kernel-unique'>): Step {
  const { pending } = state
  if (pending?.attempt !== event.attempt) return [state, []]
  const generation = Math.max(pending.minimum, state.generation + pending.restores)
  const watchers = state.watchers.map((watcher) => indebt(watcher, event.nowUsec, watcher.deadlineMs))
  const changed: OrchestratorState = {
    ...state,
    generation,
    generationId: event.generationId,
    phase: 'adjusting',
    cause: pending.cause,
    reason: pending.reason,
    evidence: pending.evidence,
    kernelRandom: event.kernelRandom,
    changedAtUsec: event.nowUsec,
    readyAtUsec: undefined,
    watchers,
    pending: undefined,
    // Watchers of a daemon that died may still be on their way back; this restore concerns them too.
    holdUntilUsec: Math.max(state.holdUntilUsec, event.nowUsec),
  }
  const [settled, effects] = settle(changed, watchers, event.nowUsec)
  // With nobody to wait for, the generation and its end are one write of the page.
  const announcements = effects.filter((effect) => effect.type === 'announce')
  return [
    settled,
    [
      { type: 'publish', change: 'generation' },
      { type: 'announce', event: 'generation' },
      ...announcements,
      { type: 'rearm' },
    ],
  ]
}

function join(state: OrchestratorState, event: Of<'watcher-joined'>): Step {
  const { id, name, owner, tracked, deadlineMs, adjustedTo } = event
  const fresh: WatcherRecord = { id, name, owner, tracked, deadlineMs, adjustedTo, owing: 'no' }
  if (adjustedTo === state.generation) return settle(state, state.watchers.with(fresh), event.nowUsec)
  // Who comes late shares the time that its generation has: nobody can put off `ready` by joining again and again.
  const endUsec = state.changedAtUsec + state.limits.maxDeadlineMs * usecPerMs
  const leftMs = state.phase === 'adjusting' ? Math.max(0, (endUsec - event.nowUsec) / usecPerMs) : deadlineMs
  const watcher = indebt(fresh, event.nowUsec, Math.min(deadlineMs, leftMs))
  const [next, effects] = settle(state, state.watchers.with(watcher), event.nowUsec)
  return [next, [...effects, { type: 'rearm' }]]
}

function confirm(state: OrchestratorState, event: Of<'confirmed'>): Step {
  const watcher = state.watchers.get(event.id)
  if (!watcher || event.generation !== state.generation) return [state, []]
  const { dueAtUsec: _, failure: __, ...rest } = watcher
  const next: WatcherRecord =
    event.failure === undefined
      ? { ...rest, adjustedTo: event.generation, owing: 'no' }
      : { ...rest, owing: watcher.tracked ? 'failed' : 'no', failure: event.failure }
  return settle(state, state.watchers.with(next), event.nowUsec)
}

function passDeadlines(state: OrchestratorState, nowUsec: number): Step {
  const watchers = state.watchers.map((watcher) => {
    if (watcher.dueAtUsec === undefined || watcher.dueAtUsec > nowUsec) return watcher
    const { dueAtUsec: _, ...rest } = watcher
    return { ...rest, owing: 'deadline' }
  })
  const [next, effects] = settle(state, watchers, nowUsec)
  return [next, [...effects, { type: 'rearm' }]]
}

/** Takes over a changed table, and says `ready` when this was the last that was waited for. */
function settle(state: OrchestratorState, watchers: WatcherTable, nowUsec: number): Step {
  const ready = state.phase === 'adjusting' && watchers.pending === 0 && nowUsec >= state.holdUntilUsec
  if (ready) {
    return [
      { ...state, watchers, phase: 'running', readyAtUsec: nowUsec },
      [
        { type: 'publish', change: 'phase' },
        { type: 'announce', event: 'ready' },
      ],
    ]
  }
  const same = watchers.tracked === state.watchers.tracked && watchers.outdated === state.watchers.outdated
  const effects: OrchestratorEffect[] = same ? [] : [{ type: 'publish', change: 'counts' }]
  // The last that was waited for, before the time for others to come back is over: the deadline is that time now.
  if (state.phase === 'adjusting' && watchers.pending === 0) effects.push({ type: 'rearm' })
  return [{ ...state, watchers }, effects]
}

function indebt(watcher: WatcherRecord, nowUsec: number, deadlineMs: number): WatcherRecord {
  const { dueAtUsec: _, failure: __, ...rest } = watcher
  if (!watcher.tracked) return { ...rest, owing: 'no' }
  return { ...rest, owing: 'pending', dueAtUsec: nowUsec + deadlineMs * usecPerMs }
}
