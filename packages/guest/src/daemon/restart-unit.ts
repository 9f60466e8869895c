import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { WatcherOwner } from '../orchestrator/watcher-table.ts'
import { cgroupOf } from '../system/cgroup/cgroup-mount.ts'
import { isGone } from '../system/process-status.ts'
import { isBootedWithSystemd } from '../system/systemd.ts'

const systemctlTimeoutMs = 10_000
/** A unit of the system itself: those of users are another service manager's. */
const systemUnit = /^\/system\.slice\/(?:[^/]+\.slice\/)*([^/]+\.service)(?:\/|$)/

/** What it takes of systemd. */
export interface Systemd {
  isBooted(): boolean
  cgroupOf(pid: number): string | undefined
  /** Runs systemctl, and resolves with what it prints. */
  control(...args: readonly string[]): Promise<string>
}

const running: Systemd = {
  isBooted: isBootedWithSystemd,
  cgroupOf,
  async control(...args) {
    const { stdout } = await promisify(execFile)('systemctl', args, { timeout: systemctlTimeoutMs })
    return stdout
  },
}

/**
 * Has systemd restart the unit of a process. Rejects with why it cannot: users run in units that are not theirs, such as
 * cron.service, so only root, or the main process of a unit, has it restarted.
 */
export async function restartUnitOf(
  { pid, uid, startTicks }: WatcherOwner,
  systemd = running,
): Promise<void> {
  if (!systemd.isBooted()) throw new Error('systemd does not run this system, so no unit can be restarted')
  const group = systemd.cgroupOf(pid)
  const unit = systemUnit.exec(group ?? '')?.[1]
  if (unit === undefined) throw new Error(`process ${pid} is in no unit of the system (cgroup ${group})`)
  if (uid !== 0) {
    const mainPid = Number(await systemd.control('show', '--property=MainPID', '--value', '--', unit))
    if (mainPid !== pid)
      throw new Error(`process ${pid} of user ${uid} is not the main process of ${unit} (that is ${mainPid})`)
  }
  // Asked last: what was found above is of the watcher's process, and of no other that has its pid now.
  if (isGone(pid, startTicks)) throw new Error(`process ${pid} has ended`)
  await systemd.control('--no-block', 'restart', '--', unit)
}
