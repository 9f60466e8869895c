import { failureOf } from '../failure.ts'
import { type Session, withDaemon } from '../session.ts'
import type { Finding } from './check.ts'

/** Whether a planned snapshot freezes the workload, as the daemon that would do it says. */
export async function checkFreeze(session: Session): Promise<Finding> {
  const check = 'freeze'
  try {
    const { possible, detail: found } = await withDaemon(session, (client) => client.call('GetFreeze', {}))
    if (possible) return { check, verdict: 'ok', found }
    const advice = 'processes run on while a planned snapshot is taken; see [freeze] in snapsafed.toml'
    return { check, verdict: 'warning', found, advice }
  } catch (error) {
    return { check, verdict: 'unknown', found: failureOf(error).message, advice: 'see daemon' }
  }
}
