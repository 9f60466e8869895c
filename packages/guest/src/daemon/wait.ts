import type { Methods, ServerCall } from 'snapsafe/protocol'
import { serviceErrors } from 'snapsafe/protocol'
import type { ApiContext } from './api.ts'
import { apiError } from './api-error.ts'
import { Throttle } from './throttle.ts'
import { viewProgress, viewState } from './view.ts'

const defaultTimeoutMs = 3_600_000
const maxTimeoutMs = 86_400_000
/** Ten thousand confirmations are not ten thousand replies. */
const progressEveryMs = 100
/** Of one user without privilege: each is told of what everybody does. */
const maxWaitingPerUser = 64

type WaitCall = ServerCall<Methods['Wait']['parameters'], Methods['Wait']['reply']>

/** Wait: answers when what is waited for is so, with progress on the way where the caller takes it. */
export async function wait(call: WaitCall, context: ApiContext): Promise<void> {
  const { manager, caller } = context
  const { timeoutMs } = call.parameters
  if (timeoutMs != null && (timeoutMs < 0 || timeoutMs > maxTimeoutMs)) {
    throw serviceErrors.invalidParameter('timeoutMs')
  }
  const { audience } = manager
  if (!caller.privileged && audience.waitingOf(caller.uid) >= maxWaitingPerUser) {
    throw apiError('LimitReached', { limit: 'calls of Wait of one user', maximum: maxWaitingPerUser })
  }
  const forget = audience.addWaiting(caller.uid)
  try {
    await untilReached(call, context)
  } finally {
    forget()
  }
}

async function untilReached(call: WaitCall, { manager, caller }: ApiContext): Promise<void> {
  const { for: what, timeoutMs } = call.parameters
  const from = call.parameters.from ?? manager.state.generation
  const reached = (): boolean => {
    const { phase, generation, pending } = manager.state
    // While a restore waits for its generation, the phase on record is of the past.
    return what === 'ready' ? phase === 'running' && !pending : generation !== from
  }
  const view = () => ({
    state: viewState(manager.state, caller),
    progress: viewProgress(manager.state, caller),
  })
  const outcome = await new Promise<'reached' | 'late' | 'gone'>((resolve) => {
    if (reached()) return resolve('reached')
    const progress = new Throttle(progressEveryMs, () => call.replyContinues(view()))
    const unsubscribe = manager.audience.subscribe((change) => {
      if (reached()) return end('reached')
      if (!call.more) return
      if (change.type === 'counts') progress.soon()
      else progress.now()
    })
    const timer = setTimeout(() => end('late'), timeoutMs ?? defaultTimeoutMs)
    const gone = (): void => end('gone')
    call.signal.addEventListener('abort', gone)
    if (call.signal.aborted) gone()
    // The first line of who is waited for; changes may be far away.
    else if (call.more) progress.now()
    function end(how: 'reached' | 'late' | 'gone'): void {
      unsubscribe()
      progress.close()
      clearTimeout(timer)
      call.signal.removeEventListener('abort', gone)
      resolve(how)
    }
  })
  if (outcome === 'late') throw apiError('TimedOut', { state: viewState(manager.state, caller) })
  call.reply(view())
}
