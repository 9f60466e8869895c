import type { Methods, ServerCall } from 'snapsafe/protocol'
import { checkConfirmation, checkOwner, checkPrepared } from '../orchestrator/machine.ts'
import type { WatcherOwner } from '../orchestrator/watcher-table.ts'
import type { ApiContext } from './api.ts'
import { apiError } from './api-error.ts'
import type { Caller } from './caller.ts'
import { printable } from './printable.ts'

/** Of a failure or a veto: the log keeps 200 of them in each of 32 entries. */
const maxWhyChars = 200

type Call<K extends keyof Methods> = ServerCall<Methods[K]['parameters'], Methods[K]['reply']>

/** What a watcher's process says on another connection than the one that it watches on. */

export function confirm(call: Call<'Confirm'>, { manager, caller }: ApiContext): void {
  const { watcher, generation, failure } = call.parameters
  const verdict = checkConfirmation(manager.state, watcher, claimant(caller), generation)
  if (verdict === 'stale') throw apiError('StaleGeneration', { current: manager.state.generation })
  if (verdict !== 'ok') throw refusal(verdict)
  manager.dispatch({
    type: 'confirmed',
    nowUsec: manager.nowUsec(),
    id: watcher,
    generation,
    ...(failure != null && { failure: printable(failure, maxWhyChars) }),
  })
  call.reply({})
}

export function confirmQuiesce(call: Call<'ConfirmQuiesce'>, { manager, caller }: ApiContext): void {
  const { watcher, quiesce, veto } = call.parameters
  const verdict = checkPrepared(manager.state, watcher, claimant(caller), quiesce)
  if (verdict === 'stale') throw apiError('StaleQuiesce', {})
  if (verdict !== 'ok') throw refusal(verdict)
  manager.dispatch({
    type: 'prepared',
    nowUsec: manager.nowUsec(),
    id: watcher,
    quiesce,
    ...(veto != null && { veto: printable(veto, maxWhyChars) }),
  })
  call.reply({})
}

export function leave(call: Call<'Leave'>, { manager, caller }: ApiContext): void {
  const { watcher } = call.parameters
  const verdict = checkOwner(manager.state, watcher, claimant(caller))
  if (verdict !== 'ok') throw refusal(verdict)
  manager.dispatch({ type: 'watcher-left', nowUsec: manager.nowUsec(), id: watcher, mayReturn: false })
  call.reply({})
}

/** Who calls. The one that connected may have ended, and left the connection to another. */
function claimant({ pid, uid, startTicks }: Caller): WatcherOwner {
  return { pid, uid, startTicks: startTicks() }
}

function refusal(verdict: 'no-such-watcher' | 'not-owner') {
  return verdict === 'not-owner' ? apiError('NotOwner', {}) : apiError('NoSuchWatcher', {})
}
