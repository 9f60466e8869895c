import { existsSync, readFileSync } from 'node:fs'
import { thawRecorded } from '../system/cgroup/thaw-recorded.ts'
import type { Log } from './log.ts'
import type { DaemonPaths } from './paths.ts'

/**
 * The last resort of a daemon that cannot start: what the one before left frozen runs again, in the old generation, because there
 * is nobody to make a new one. Not where another daemon runs, whose business it is.
 */
export function thawForNobody({ frozen, lock }: DaemonPaths, log: Log): void {
  if (!existsSync(frozen) || isHeld(lock)) return
  for (const problem of thawRecorded(frozen)) log.error(problem)
  log.error('what was frozen was thawed without a new generation: if this is a copy, restart its programs')
}

function isHeld(lock: string): boolean {
  try {
    const pid = Number(readFileSync(lock, 'utf8').trim())
    // The lock itself cannot be asked without the addon, whose lack may be what stands in the way.
    // A process that has ended has no command line.
    return pid !== process.pid && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('snapsafed')
  } catch {
    return false
  }
}
