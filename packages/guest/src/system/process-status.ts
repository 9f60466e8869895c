import { readFileSync } from 'node:fs'

/** include/linux/sched.h: the process is on its way out. Its descriptors are closed after this is set. */
const exitingFlag = 0x4
/** proc_pid_stat(5), counted from the field after the name, which is in parentheses and may contain anything. */
const stateField = 0
const flagsField = 6
const startField = 19

/** When a process started, in clock ticks since boot; 0 where it is not known. A pid alone may be that of another one. */
export function startTicksOf(pid: number): number {
  return Number(statOf(pid)?.[startField] ?? 0)
}

/** Whether a process is no more, or about to end. `startTicks`: when it started; 0: any process of this pid is it. */
export function isGone(pid: number, startTicks: number): boolean {
  const stat = statOf(pid)
  if (!stat) return true
  const state = stat[stateField]
  if (state === 'Z' || state === 'X' || (Number(stat[flagsField]) & exitingFlag) !== 0) return true
  return startTicks !== 0 && Number(stat[startField]) !== startTicks
}

function statOf(pid: number): string[] | undefined {
  // 0: a process of another PID namespace, which has no number here.
  if (pid <= 0) return undefined
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}
