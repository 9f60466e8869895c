import { execFile } from 'node:child_process'
import { closeSync } from 'node:fs'
import { constants } from 'node:os'
import { promisify } from 'node:util'
import type { NativeAddon } from 'snapsafe/native'
import type { DeadlinePolicy, WatcherRecord } from '../orchestrator/watcher-table.ts'
import { cgroupOf } from '../system/cgroup/cgroup-mount.ts'
import { isGone } from '../system/process-status.ts'
import { isBootedWithSystemd } from '../system/systemd.ts'

const systemctlTimeoutMs = 10_000
/** A unit of the system itself: those of users are another service manager's. */
const systemUnit = /^\/system\.slice\/(?:[^/]+\.slice\/)*([^/]+\.service)(?:\/|$)/

/** Does what is configured about a watcher that has not adjusted. Rejects with why it cannot be done. */
export async function enforce(
  addon: NativeAddon,
  { owner }: WatcherRecord,
  policy: Extract<DeadlinePolicy, 'restart' | 'kill'>,
): Promise<void> {
  const { pid, startTicks } = owner
  if (pid <= 1 || pid === process.pid) throw new Error(`process ${pid} is none that can be ended`)
  if (policy === 'restart') return restartUnitOf(pid)
  const pidfd = addon.pidfdOpen(pid)
  try {
    // Asked with the descriptor open: from here on it cannot come to mean another process.
    if (!isGone(pid, startTicks)) addon.pidfdSendSignal(pidfd, constants.signals.SIGKILL)
  } finally {
    closeSync(pidfd)
  }
}

async function restartUnitOf(pid: number): Promise<void> {
  if (!isBootedWithSystemd()) throw new Error('systemd does not run this system, so no unit can be restarted')
  const group = cgroupOf(pid)
  const unit = systemUnit.exec(group ?? '')?.[1]
  if (unit === undefined) throw new Error(`process ${pid} is in no unit of the system (cgroup ${group})`)
  await promisify(execFile)('systemctl', ['--no-block', 'restart', unit], { timeout: systemctlTimeoutMs })
}
