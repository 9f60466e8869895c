import { describeDegraded, describeState } from '../describe.ts'
import { failureOf } from '../failure.ts'
import { type Session, withDaemon } from '../session.ts'
import type { Finding } from './check.ts'

/** Whether the daemon itself sees restores, which is more than whether it could. */
export async function checkSources(session: Session): Promise<Finding> {
  const check = 'sources'
  try {
    const { sources } = await withDaemon(session, (client) => client.call('ListSources', {}))
    const working = sources.filter(({ status }) => status === 'working')
    const found = sources
      .map(({ source, status, detail }) => `${source} ${status}${detail ? ` (${detail})` : ''}`)
      .join(', ')
    if (working.length > 0 && working.length === sources.length) return { check, verdict: 'ok', found }
    if (working.length > 0) return { check, verdict: 'warning', found }
    const advice = 'no source can see a restore: call "snapsafe bump" after each'
    return { check, verdict: 'warning', found: found || 'every source is switched off', advice }
  } catch (error) {
    return { check, verdict: 'unknown', found: failureOf(error).message, advice: 'see daemon' }
  }
}

export async function checkDaemon(session: Session): Promise<Finding> {
  const check = 'daemon'
  try {
    const { version, state } = await withDaemon(session, async (client) => ({
      version: (await client.getInfo()).version,
      state: (await client.call('GetState', {})).state,
    }))
    const found = `snapsafed ${version} answers: ${describeState(state)}`
    if (!state.degraded) return { check, verdict: 'ok', found }
    return { check, verdict: 'warning', found, advice: describeDegraded(state).join('; ') }
  } catch (error) {
    return {
      check,
      verdict: 'failed',
      found: failureOf(error).message,
      advice: 'start it, as root: snapsafed',
    }
  }
}
