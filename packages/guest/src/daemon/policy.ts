import type { DeadlinePolicy, WatcherOwner } from '../orchestrator/watcher-table.ts'
import { userId } from '../system/user.ts'
import type { Caller } from './caller.ts'
import type { Config } from './config.ts'
import type { Log } from './log.ts'

type WatcherConfig = Pick<Config['watchers'], 'after_deadline' | 'policies'>
type Registering = Pick<Caller, 'privileged'> & Pick<WatcherOwner, 'uid' | 'startTicks'>

/**
 * What is to be done about a watcher of a name that does not adjust. Anybody can take any name: `hold` counts for root and the group,
 * and for the user that the configuration names with it. Whoever is not known to live cannot be ended, only named.
 */
export function policyFor(name: string, who: Registering, config: WatcherConfig): DeadlinePolicy {
  const { policy, mayHold } = configured(name, who, config)
  if (policy === 'hold') return mayHold ? policy : 'report'
  if (policy === 'kill' || policy === 'restart') return who.startTicks > 0 ? policy : 'report'
  return policy
}

/** A policy whose user there is not applies to nobody, which should not go unnoticed. */
export function warnOfUnknownUsers({ policies }: WatcherConfig, log: Pick<Log, 'warning'>): void {
  for (const [name, entry] of Object.entries(policies)) {
    if (typeof entry === 'string' || userId(entry.user) !== undefined) continue
    log.warning(`watchers.policies names the user ${entry.user} for "${name}", and there is no such user`)
  }
}

function configured(
  name: string,
  { uid, privileged }: Registering,
  { policies, after_deadline }: WatcherConfig,
): { policy: DeadlinePolicy; mayHold: boolean } {
  // The name is the watcher's own: every object has a "constructor".
  const entry = Object.hasOwn(policies, name) ? policies[name] : undefined
  if (typeof entry === 'string') return { policy: entry, mayHold: privileged }
  if (entry && userId(entry.user) === uid) return { policy: entry.after_deadline, mayHold: true }
  return { policy: after_deadline, mayHold: privileged }
}
