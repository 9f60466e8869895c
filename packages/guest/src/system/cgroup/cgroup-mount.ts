import { readFileSync } from 'node:fs'

/** What proc(5) puts behind the path of a process whose group was removed: it is a zombie, and runs nowhere. */
const deletedMark = ' (deleted)'

/**
 * Where the cgroup v2 hierarchy is mounted, whole: /sys/fs/cgroup, or /sys/fs/cgroup/unified beside version 1. Undefined
 * where it is not; a mount of a part of it does not count, because the paths of processes do not fit it.
 */
export function findCgroup2(mountinfo = '/proc/self/mountinfo'): string | undefined {
  for (const line of read(mountinfo).split('\n')) {
    // proc_pid_mountinfo(5): id parent device root mount-point options [optional fields] - type source options
    const [mount = '', filesystem = ''] = line.split(' - ')
    const [, , , root, mountPoint] = mount.split(' ')
    if (filesystem.startsWith('cgroup2 ') && root === '/' && mountPoint) return unescaped(mountPoint)
  }
  return undefined
}

/**
 * The cgroup v2 path of a process, for instance `/system.slice/sshd.service`, as seen from `top`, another such path; `/` is
 * `top` itself. Undefined where there is no such process, or it is not below `top`.
 */
export function cgroupOf(pid: number | 'self', top = '/'): string | undefined {
  const path = /^0::(\/.*)$/m.exec(read(`/proc/${pid}/cgroup`))?.[1]
  if (path === undefined || path.endsWith(deletedMark)) return undefined
  if (top === '/') return path
  if (path === top) return '/'
  return path.startsWith(`${top}/`) ? path.slice(top.length) : undefined
}

/** Nothing, where there is no such file: a kernel without it, or a process that is gone. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** The kernel writes space, tab, newline and backslash in octal. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}
