import type { Methods, ServerCall } from 'snapsafe/protocol'
import { serviceErrors } from 'snapsafe/protocol'
import type { ApiContext } from './api.ts'
import { apiError } from './api-error.ts'
import { viewProgress, viewState } from './view.ts'

const defaultTimeoutMs = 3_600_000
const maxTimeoutMs = 86_400_000
/** Ten thousand confirmations are not ten thousand replies. */
const progressEveryMs = 100

/** Wait: answers when what is waited for is so, with progress on the way where the caller takes it. */
export async function wait(
  call: ServerCall<Methods['Wait']['parameters'], Methods['Wait']['reply']>,
  { manager, caller }: ApiContext,
): Promise<void> {
  const { for: what, timeoutMs } = call.parameters
  const from = call.parameters.from ?? manager.state.generation
  if (timeoutMs != null && (timeoutMs < 0 || timeoutMs > maxTimeoutMs)) {
    throw serviceErrors.invalidParameter('timeoutMs')
  }
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
    let lastProgressMs = Number.NEGATIVE_INFINITY
    const unsubscribe = manager.audience.subscribe((change) => {
      if (reached()) return end('reached')
      const nowMs = performance.now()
      if (!call.more || (change.type === 'counts' && nowMs - lastProgressMs < progressEveryMs)) return
      lastProgressMs = nowMs
      call.replyContinues(view())
    })
    const timer = setTimeout(() => end('late'), timeoutMs ?? defaultTimeoutMs)
    const gone = (): void => end('gone')
    call.signal.addEventListener('abort', gone)
    if (call.signal.aborted) gone()
    // The first line of who is waited for; changes may be far away.
    else if (call.more) call.replyContinues(view())
    function end(how: 'reached' | 'late' | 'gone'): void {
      unsubscribe()
      clearTimeout(timer)
      call.signal.removeEventListener('abort', gone)
      resolve(how)
    }
  })
  if (outcome === 'late') throw apiError('TimedOut', { state: viewState(manager.state, caller) })
  call.reply(view())
}
