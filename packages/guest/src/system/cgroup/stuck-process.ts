import { processStat } from '../process-stat.ts'
import type { CgroupTree } from './cgroup-tree.ts'

/** A message names one process; it is not worth a look at each of a hundred thousand. */
const maxGroups = 1000

/**
 * A process of the group, or of one below it, that waits in the kernel and cannot be interrupted, and so cannot be frozen
 * before that has ended; in words. Undefined where there is none, or no more.
 */
export function stuckProcess(tree: CgroupTree, group: string): string | undefined {
  const groups = [group]
  for (let at = 0; at < groups.length && at < maxGroups; at++) {
    const path = groups[at] as string
    for (const pid of tree.processes(path)) {
      const stat = processStat(pid)
      if (stat?.state === 'D') return `process ${pid} (${stat.name}) waits in the kernel (state D)`
    }
    groups.push(...tree.children(path))
  }
  return undefined
}
