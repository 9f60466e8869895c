import { processStat } from './process-stat.ts'

/** When a process started, in clock ticks since boot; 0 where it is not known. */
export function startTicksOf(pid: number): number {
  return statOf(pid)?.startTicks ?? 0
}

/** Whether a process is no more, or about to end. `startTicks`: when it started; 0: any process of this pid is it. */
export function isGone(pid: number, startTicks: number): boolean {
  const stat = statOf(pid)
  if (!stat || stat.exiting) return true
  return startTicks !== 0 && stat.startTicks !== startTicks
}

function statOf(pid: number) {
  // 0: a process of another PID namespace, which has no number here.
  return pid > 0 ? processStat(pid) : undefined
}
