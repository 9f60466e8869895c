import { describeDegraded, describeState } from '../describe.ts'
import { failureOf } from '../failure.ts'
import { type Session, withDaemon } from '../session.ts'
import type { Finding } from './check.ts'

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
