import { readFileSync } from 'node:fs'

/** PF_KTHREAD of include/linux/sched.h. */
const kernelThreadFlag = 0x0020_0000

export interface ProcessStat {
  readonly pid: number
  /** The name of the program, at most 15 bytes of it. */
  readonly name: string
  /** One letter, as in proc(5): `D` waits in the kernel and cannot be interrupted. */
  readonly state: string
  readonly kernelThread: boolean
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
  return {
    pid,
    name: text.slice(text.indexOf('(') + 1, nameEnd),
    state: fields[0] ?? '',
    kernelThread: (Number(fields[6]) & kernelThreadFlag) !== 0,
  }
}
