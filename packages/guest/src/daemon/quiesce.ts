import type { Methods, ServerCall } from 'snapsafe/protocol'
import { serviceErrors } from 'snapsafe/protocol'
import type { QuiesceOutcome } from '../orchestrator/events.ts'
import { canQuiesce } from '../orchestrator/quiesce.ts'
import type { ApiContext } from './api.ts'
import { apiError } from './api-error.ts'
import { checkedReason } from './reason.ts'
import { viewState } from './view.ts'

/** Quiesce: answers when the snapshot can be taken; whatever stands in the way undoes it. */
export async function quiesce(
  call: ServerCall<Methods['Quiesce']['parameters'], Methods['Quiesce']['reply']>,
  { manager, config, caller }: ApiContext,
): Promise<void> {
  const { reason, deadlineMs, thawAfterMs, force } = call.parameters
  const { deadline, thaw_after, max_thaw_after } = config.freeze
  const why = checkedReason(reason)
  if (deadlineMs != null && deadlineMs < 1) throw serviceErrors.invalidParameter('deadlineMs')
  if (thawAfterMs != null && (thawAfterMs < 1 || thawAfterMs > max_thaw_after)) {
    throw serviceErrors.invalidParameter('thawAfterMs')
  }
  const { phase } = manager.state
  if (!canQuiesce(manager.state)) {
    // A restore whose generation is not out yet.
    throw apiError('WrongPhase', { phase: phase === 'running' ? 'adjusting' : phase })
  }
  const number = manager.state.quiesces + 1
  const ended = new Promise<QuiesceOutcome | 'quiesced'>((resolve) => {
    const unsubscribe = manager.audience.subscribe((change) => {
      if (change.type === 'quiesce-ended' && change.quiesce === number) end(change.outcome)
      if (change.type === 'quiesce' && manager.state.phase === 'quiesced') end('quiesced')
    })
    function end(how: QuiesceOutcome | 'quiesced'): void {
      unsubscribe()
      resolve(how)
    }
  })
  // Nobody would take the snapshot any more.
  const undo = (): void =>
    manager.dispatch({
      type: 'resume',
      nowUsec: manager.nowUsec(),
      outcome: 'failed',
      detail: 'the caller of Quiesce went away',
    })
  call.signal.addEventListener('abort', undo)
  try {
    manager.dispatch({
      type: 'quiesce',
      nowUsec: manager.nowUsec(),
      ...(why !== undefined && { reason: why }),
      deadlineMs: deadlineMs ?? deadline,
      thawAfterMs: thawAfterMs ?? thaw_after,
      force: force ?? false,
      callerPid: caller.pid,
    })
    if (call.signal.aborted) undo()
    const outcome = await ended
    if (outcome !== 'quiesced') throw failureOf(outcome)
  } finally {
    call.signal.removeEventListener('abort', undo)
  }
  call.reply({ state: viewState(manager.state, caller) })
}

function failureOf(outcome: QuiesceOutcome) {
  switch (outcome.how) {
    case 'vetoed':
      return apiError('Vetoed', { name: outcome.name, pid: outcome.pid, reason: outcome.detail })
    case 'restored':
      return apiError('QuiesceFailed', { reason: 'the system was restored meanwhile' })
    case 'resumed':
    case 'failed':
      return apiError('QuiesceFailed', { reason: outcome.detail })
    default:
      return outcome satisfies never
  }
}
