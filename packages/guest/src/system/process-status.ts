import { readFileSync } from 'node:fs'
import { processStat } from './process-stat.ts'

/** When a process started, in clock ticks since boot; 0 where it is not known. */
export function startTicksOf(pid: number): number {
  return statOf(pid)?.startTicks ?? 0
}

/** Whether a process is no more, or about to end. `startTicks`: when it started; 0: nobody knows which it was, so it counts as gone. */
export function isGone(pid: number, startTicks: number): boolean {
  const stat = statOf(pid)
  return !stat || stat.exiting || startTicks === 0 || stat.startTicks !== startTicks
}

/** Whether all that a process is, or can become again without exec, is one user: real, effective and saved. False where it is no more. */
export function isOfUser(pid: number, uid: number): boolean {
  let status: string
  try {
    status = readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    return false
  }
  // proc_pid_status(5): real, effective, saved and file system.
  const uids = /^Uid:\s+(\d+)\s+(\d+)\s+(\d+)/m.exec(status)?.slice(1)
  return uids?.every((one) => Number(one) === uid) ?? false
}

function statOf(pid: number) {
  // 0: a process of another PID namespace, which has no number here.
  return pid > 0 ? processStat(pid) : undefined
}
