import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { cgroupOf, findCgroup2 } from './cgroup-mount.ts'
import type { FreezeTree } from './freeze-plan.ts'
import { readGroupFile } from './group-file.ts'
import { childPath, rootGroup } from './group-path.ts'

/** The cgroup v2 hierarchy from `root` on, which is its mount point or, for a trial, the directory of a group. */
export class CgroupTree implements FreezeTree {
  readonly root: string
  /** The path of `root` as the kernel has it. */
  readonly #top: string

  constructor(root: string) {
    this.root = root
    const mount = findCgroup2() ?? root
    this.#top = root.startsWith(`${mount}/`) ? root.slice(mount.length) : rootGroup
  }

  directory(path: string): string {
    return path === rootGroup ? this.root : join(this.root, path)
  }

  exists(path: string): boolean {
    return this.#read(path, 'cgroup.procs') !== undefined
  }

  children(path: string): string[] {
    try {
      return readdirSync(this.directory(path), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => childPath(path, entry.name))
    } catch {
      return []
    }
  }

  hasProcesses(path: string): boolean {
    // Not cgroup.procs: that one cannot be read in a threaded group, and in one above it shows those of its children too.
    return (this.#read(path, 'cgroup.threads') ?? '') !== ''
  }

  /** The processes of the group itself. */
  processes(path: string): number[] {
    const lines = (this.#read(path, 'cgroup.procs') ?? '').split('\n')
    // A process of another PID namespace is a 0.
    return lines.map(Number).filter((pid) => pid > 0)
  }

  /** The group of a process; undefined where it is gone, or outside of this tree. */
  groupOf(pid: number | 'self'): string | undefined {
    return cgroupOf(pid, this.#top)
  }

  /** Undefined where the group is gone; empty, where the kernel does not let one read it in a group of this type. */
  #read(path: string, file: string): string | undefined {
    try {
      return readGroupFile(this.directory(path), file)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOTSUP') return ''
      throw error
    }
  }
}
