import { readFileSync } from 'node:fs'

/** PF_KTHREAD of include/linux/sched.h. */
const kernelThreadFlag = 0x0020_0000
/** PF_EXITING of include/linux/sched.h: set before the process's descriptors are closed. */
const exitingFlag = 0x4

export interface ProcessStat {
  readonly pid: number
  /** The name of the program, at most 15 bytes of it. */
  readonly name: string
  /** One letter, as in proc(5): `D` waits in the kernel and cannot be interrupted. */
  readonly state: string
  readonly kernelThread: boolean
  /** It is on its way out, or a zombie. */
  readonly exiting: boolean
  /** When it started, in clock ticks since boot. A pid is used again; a pid with this is not. */
  readonly startTicks: number
}

/** What /proc says of a process; undefined where there is no such process any more. */
export function processStat(pid: number): ProcessStat | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  // The name may have blanks and brackets in it; nothing behind it has.
  const nameEnd = text.lastIndexOf(')')
  const fields = text.slice(nameEnd + 2).split(' ')
  const flags = Number(fields[6])
  const state = fields[0] ?? ''
  return {
    pid,
    name: text.slice(text.indexOf('(') + 1, nameEnd),
    state,
    kernelThread: (flags & kernelThreadFlag) !== 0,
    exiting: state === 'Z' || state === 'X' || (flags & exitingFlag) !== 0,
    startTicks: Number(fields[19]),
  }
}
