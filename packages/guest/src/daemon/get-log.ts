import type { LogEntry, Methods, ServerCall } from 'snapsafe/protocol'
import { serviceErrors } from 'snapsafe/protocol'
import type { ApiContext } from './api.ts'
import { viewEntry } from './view.ts'

/** A restore of ten thousand watchers is not ten thousand replies. */
const changesEveryMs = 100

/** GetLog: what there is and, where the caller takes it, each entry that is new or has changed. */
export async function getLog(
  call: ServerCall<Methods['GetLog']['parameters'], Methods['GetLog']['reply']>,
  { manager, caller }: ApiContext,
): Promise<void> {
  const { last } = call.parameters
  if (last != null && last < 0) throw serviceErrors.invalidParameter('last')
  let told: readonly LogEntry[] = manager.state.log
  const first = last == null ? told : told.slice(Math.max(0, told.length - last))
  const view = (entries: readonly LogEntry[]) => ({
    entries: entries.map((entry) => viewEntry(entry, caller)),
  })
  if (!call.more) return call.reply(view(first))
  call.replyContinues(view(first))
  let timer: NodeJS.Timeout | undefined
  const tell = (): void => {
    timer = undefined
    const { log } = manager.state
    const changed = log.filter((entry) => !told.includes(entry))
    told = log
    if (changed.length > 0) call.replyContinues(view(changed))
  }
  const unfollow = manager.audience.followLog(() => {
    timer ??= setTimeout(tell, changesEveryMs)
  })
  await new Promise<void>((resolve) => {
    call.signal.addEventListener('abort', () => resolve())
    if (call.signal.aborted) resolve()
  })
  unfollow()
  clearTimeout(timer)
}
