import type { CgroupTree } from '../system/cgroup/cgroup-tree.ts'
import type { GroupReason } from '../system/cgroup/freeze-plan.ts'
import { rootGroup } from '../system/cgroup/group-path.ts'
import { processStat } from '../system/process-stat.ts'

/**
 * The processes that are in the root group and so go on, in words: those that are neither of the kernel nor this one.
 * Undefined where there are none, as with systemd.
 */
export function rootGroupProcesses(tree: CgroupTree): GroupReason | undefined {
  const found = tree
    .processes(rootGroup)
    .filter((pid) => pid !== process.pid)
    .map(processStat)
    .filter((stat) => stat !== undefined && !stat.kernelThread)
  // Process 1 has to run on, so it is the worst example.
  const example = found.find((stat) => stat?.pid !== 1) ?? found[0]
  if (example === undefined) return undefined
  const count = found.length === 1 ? '1 process is' : `${found.length} processes are`
  return {
    group: rootGroup,
    why: `${count} in the root group, which cannot be frozen (for instance ${example.name})`,
  }
}
