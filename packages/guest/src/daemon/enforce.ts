import { closeSync } from 'node:fs'
import { constants } from 'node:os'
import type { NativeAddon } from 'snapsafe/native'
import type { DeadlinePolicy, WatcherOwner, WatcherRecord } from '../orchestrator/watcher-table.ts'
import { isGone } from '../system/process-status.ts'
import { restartUnitOf } from './restart-unit.ts'

/**
 * Does what is configured about a watcher that has not adjusted. Rejects with why it cannot be done. `kept`: a descriptor of its
 * process, where its connection is open; it stays the caller's.
 */
export async function enforce(
  addon: NativeAddon,
  { owner }: Pick<WatcherRecord, 'owner'>,
  policy: Extract<DeadlinePolicy, 'restart' | 'kill'>,
  kept: number | undefined,
): Promise<void> {
  const { pid, startTicks } = owner
  if (pid <= 1 || pid === process.pid) throw new Error(`process ${pid} is none that can be ended`)
  if (startTicks === 0) throw new Error(`process ${pid} had ended when it began to watch`)
  if (policy === 'restart') return restartUnitOf(owner)
  if (kept !== undefined) return kill(addon, kept)
  killByNumber(addon, owner)
}

function killByNumber(addon: NativeAddon, { pid, startTicks }: WatcherOwner): void {
  const pidfd = addon.pidfdOpen(pid)
  try {
    // Asked with the descriptor open: from here on it cannot come to mean another process.
    if (!isGone(pid, startTicks)) kill(addon, pidfd)
  } finally {
    closeSync(pidfd)
  }
}

function kill(addon: NativeAddon, pidfd: number): void {
  try {
    addon.pidfdSendSignal(pidfd, constants.signals.SIGKILL)
  } catch (error) {
    // It has ended by itself.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
