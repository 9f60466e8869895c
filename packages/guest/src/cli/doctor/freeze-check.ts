import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Finding } from './check.ts'

const check = 'freeze'
/** What a cgroup is frozen by (Documentation/admin-guide/cgroup-v2.rst). The root of the hierarchy has none. */
const freezeFile = 'cgroup.freeze'
/** Linux 5.2 brought it. */
const [major, minor] = [5, 2]

interface Mount {
  readonly path: string
  readonly readOnly: boolean
}

/** Whether planned snapshots can freeze the workload here: the cgroup v2 freezer, which the daemon writes to. */
export function checkFreeze(
  mountinfo = '/proc/self/mountinfo',
  osrelease = '/proc/sys/kernel/osrelease',
): Finding {
  const without = 'without the freezer, processes run on while a planned snapshot is taken'
  const mounts = cgroup2Mounts(readFileSync(mountinfo, 'utf8'))
  const mount = mounts.find(({ readOnly }) => !readOnly) ?? mounts[0]
  if (!mount) {
    const advice = `mount -t cgroup2 none /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1; ${without}`
    return { check, verdict: 'warning', found: 'cgroup2 is mounted nowhere', advice }
  }
  const { path, readOnly } = mount
  if (readOnly) {
    const advice = `run the daemon where it is writable: outside of a container, as root; ${without}`
    return { check, verdict: 'warning', found: `cgroup2 on ${path} is mounted read-only`, advice }
  }
  const release = readFileSync(osrelease, 'utf8').trim()
  const groups = groupsBelow(path)
  // A hierarchy of which nobody has made use yet has no group to look at.
  const able = groups.length > 0 ? groups.some((group) => hasFreezer(group)) : isRecent(release)
  if (!able) {
    const advice = `use a kernel from ${major}.${minor} on; ${without}`
    return {
      check,
      verdict: 'warning',
      found: `cgroup2 on ${path} has no ${freezeFile} (${release})`,
      advice,
    }
  }
  if (groups.length > 0) return { check, verdict: 'ok', found: `cgroup2 on ${path} has a freezer` }
  const advice = 'start the workload in a cgroup below it: the root itself cannot be frozen'
  return { check, verdict: 'warning', found: `cgroup2 on ${path} has no group below it`, advice }
}

/** proc_pid_mountinfo(5): fields, a hyphen, then the type; blanks and the like in paths are octal. */
function cgroup2Mounts(mountinfo: string): Mount[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [mount = '', filesystem = ''] = line.split(' - ')
    const [, , , , path = '', options = ''] = mount.split(' ')
    const [type, , superOptions = ''] = filesystem.split(' ')
    if (type !== 'cgroup2') return []
    const readOnly = [options, superOptions].some((all) => all.split(',').includes('ro'))
    return [
      { path: path.replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8))), readOnly },
    ]
  })
}

/** The mount itself is a group where it shows a part of the hierarchy only, as in a container. */
function groupsBelow(path: string): string[] {
  return [...(hasFreezer(path) ? [path] : []), ...foldersIn(path).map((name) => join(path, name))]
}

function foldersIn(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? entry.name : [],
    )
  } catch {
    return []
  }
}

function hasFreezer(group: string): boolean {
  return existsSync(join(group, freezeFile))
}

function isRecent(release: string): boolean {
  const [ofMajor = 0, ofMinor = 0] = release.split('.').map((part) => Number.parseInt(part, 10))
  return ofMajor > major || (ofMajor === major && ofMinor >= minor)
}
