import type { Methods, ServerCall, WatchEvent } from 'snapsafe/protocol'
import { serviceErrors } from 'snapsafe/protocol'
import type { ApiContext } from './api.ts'
import { apiError } from './api-error.ts'
import { viewState } from './view.ts'

const maxNameChars = 128
/** u32, as on the page. */
const maxGeneration = 2 ** 32 - 1

/** Watch: registers, and tells of each generation and each ready until the connection is closed. */
export async function watch(
  call: ServerCall<Methods['Watch']['parameters'], Methods['Watch']['reply']>,
  { manager, config, caller }: ApiContext,
): Promise<void> {
  const { name, tracked, deadlineMs, adjustedTo } = call.parameters
  const { deadline, max_deadline, max_per_user, wait_for } = config.watchers
  // Names are shown on terminals and in logs.
  if (name.length === 0 || name.length > maxNameChars || /\p{C}/u.test(name)) {
    throw serviceErrors.invalidParameter('name')
  }
  if (adjustedTo != null && (adjustedTo < 0 || adjustedTo > maxGeneration)) {
    throw serviceErrors.invalidParameter('adjustedTo')
  }
  if (deadlineMs != null && deadlineMs < 1) throw serviceErrors.invalidParameter('deadlineMs')
  // Whoever is privileged is limited by the number of connections alone: the services of a machine are mostly root's.
  if (!caller.privileged && manager.watchersOf(caller.uid) >= max_per_user) {
    throw apiError('LimitReached', { limit: 'watchers.max_per_user', maximum: max_per_user })
  }

  const id = manager.nextWatcherId()
  manager.dispatch({
    type: 'watcher-joined',
    nowUsec: manager.nowUsec(),
    id,
    name,
    owner: { pid: caller.pid, uid: caller.uid },
    tracked: (tracked ?? false) && (wait_for === 'everybody' || caller.privileged),
    deadlineMs: Math.min(deadlineMs ?? deadline, max_deadline),
    adjustedTo: adjustedTo ?? manager.state.generation,
  })
  const tell = (event: WatchEvent): void => {
    const { generation } = manager.state
    const outdated = manager.state.watchers.get(id)?.adjustedTo !== generation
    call.replyContinues({ watcher: id, event, outdated, state: viewState(manager.state, caller) })
  }
  try {
    tell('registered')
    await new Promise<void>((resolve) => {
      const unsubscribe = manager.subscribe((change) => {
        if (change !== 'counts') tell(change)
      })
      call.signal.addEventListener('abort', () => {
        unsubscribe()
        resolve()
      })
      if (call.signal.aborted) {
        unsubscribe()
        resolve()
      }
    })
  } finally {
    manager.dispatch({ type: 'watcher-left', nowUsec: manager.nowUsec(), id })
  }
}
