import { indebted } from './debt.ts'
import { closeEntry, note, openEntry, refreshEntry } from './log.ts'
import { settle } from './settle.ts'
import type { OrchestratorState, PendingRestore } from './state.ts'
import type { EventOf, Step } from './step.ts'

/** A storm of signs is no better proof than the first few. */
const maxEvidence = 16

/** A restore: memory is wiped, and the kernel made unique, before anything else is done about it. */
export function declareRestore(state: OrchestratorState, event: Omit<EventOf<'restore'>, 'type'>): Step {
  const before = state.pending
  const pending: PendingRestore = {
    attempt: state.attempts + 1,
    restores: (before?.restores ?? 0) + 1,
    minimum: Math.max(before?.minimum ?? 0, event.minimum ?? 0),
    cause: event.cause,
    reason: event.reason,
    evidence: [...(before?.evidence ?? []), event.evidence].slice(-maxEvidence),
  }
  // Whoever has not adjusted to the generation before need not: it ends here.
  const ended = !before && state.phase === 'adjusting' ? closeEntry(state, 'superseded') : state
  const declared = note(openEntry(ended), 'restore-declared', event.nowUsec)
  const next = {
    ...declared,
    attempts: pending.attempt,
    pending,
    restoreId: event.restoreId ?? state.restoreId,
  }
  // The reseed of an earlier restore that is still under way may lie before this one, so it is asked for again.
  return [next, [{ type: 'wipe-memory' }, makeUnique(pending, event.kernelReseeded)]]
}

/** The same restore, once more: what was to be done about it was the business of a daemon that is no more. */
export function declareAgain(state: OrchestratorState, pending: PendingRestore): Step {
  const again = { ...pending, attempt: state.attempts + 1 }
  return [
    { ...state, attempts: again.attempt, pending: again },
    // Whether the kernel has reseeded itself for it is not known any more.
    [{ type: 'wipe-memory' }, makeUnique(again, false)],
  ]
}

export function addEvidence(state: OrchestratorState, event: EventOf<'evidence'>): Step {
  const { pending } = state
  const restoreId = event.restoreId ?? state.restoreId
  if (pending) {
    const evidence = [...pending.evidence, event.evidence].slice(-maxEvidence)
    return [{ ...state, restoreId, pending: { ...pending, evidence } }, []]
  }
  const evidence = [...state.evidence, event.evidence].slice(-maxEvidence)
  return [refreshEntry({ ...state, restoreId, evidence }), []]
}

/** The kernel is unique: the generation moves, the workload runs again, and watchers are told, stage by stage. */
export function beginGeneration(state: OrchestratorState, event: EventOf<'kernel-unique'>): Step {
  const { pending, snapshot } = state
  const { nowUsec, attempt, kernelRandom, generationId } = event
  if (pending?.attempt !== attempt) return [state, []]
  const unique = note(state, 'kernel-unique', nowUsec)
  const changed: OrchestratorState = {
    ...unique,
    generation: Math.max(pending.minimum, state.generation + pending.restores),
    generationId,
    phase: 'adjusting',
    cause: pending.cause,
    reason: pending.reason,
    evidence: pending.evidence,
    kernelRandom,
    changedAtUsec: nowUsec,
    readyAtUsec: undefined,
    stage: undefined,
    stageBeganUsec: nowUsec,
    watchers: state.watchers.map((watcher) => indebted(watcher, nowUsec)),
    pending: undefined,
    snapshot: undefined,
    // Watchers of a daemon that left nothing may still be on their way back; this restore concerns them too.
    holdUntilUsec: Math.max(state.holdUntilUsec, nowUsec),
  }
  const [settled, effects] = settle(changed, nowUsec)
  return [
    settled,
    [
      // Once more: what was written while the kernel was made unique, by somebody who could not know.
      { type: 'wipe-memory' },
      { type: 'publish', change: 'generation' },
      // Nobody runs with old knowledge: not before the page has changed.
      { type: 'thaw' },
      ...(snapshot
        ? [{ type: 'quiesce-ended', quiesce: snapshot.quiesce, outcome: { how: 'restored' } } as const]
        : []),
      { type: 'announce', event: 'generation' },
      // With nobody to wait for, the generation and its end are one write of the page.
      ...effects.filter((effect) => effect.type !== 'publish'),
      { type: 'rearm' },
    ],
  ]
}

function makeUnique({ attempt }: PendingRestore, kernelReseeded: boolean) {
  return { type: 'make-kernel-unique', attempt, kernelReseeded } as const
}
