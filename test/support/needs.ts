import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync, rmdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { findCgroup2 } from '../../packages/guest/src/system/cgroup/cgroup-mount.ts'

const command = join(import.meta.dirname, '../../packages/guest/bin/snapsafe.js')
/** `nobody` on every Linux: the kernel's overflow user. */
export const nobody = 65_534

/** What a test may need beyond Node. The environment variable REQUIRE names those that must be there, separated by commas. */
const needs = {
  root: needsRoot,
  vm: () =>
    process.arch === 'x64' && existsSync('/etc/debian_version')
      ? undefined
      : 'needs an x86_64 Debian machine: guests are made of its packages',
  users: needsUsers,
  namespaces: () =>
    spawnSync('unshare', ['--pid', '--fork', 'true']).status === 0
      ? undefined
      : 'needs PID namespaces, which this container forbids',
  cgroup2: needsCgroup2,
  fuse: () =>
    existsSync('/dev/fuse') ? needsRoot() : 'needs /dev/fuse, for a process that cannot be interrupted',
  python3: () => missingProgram('python3'),
} satisfies Record<string, () => string | undefined>

export type Need = keyof typeof needs

/**
 * Why a test that needs this cannot run here, for `describe.skipIf`; undefined where it can. With REQUIRE naming the need,
 * a want of it is an error rather than a skip.
 */
export function lacking(...wanted: Need[]): string | undefined {
  const required = (process.env.REQUIRE ?? '').split(',')
  for (const need of wanted) {
    const reason = needs[need]()
    if (reason === undefined) continue
    if (required.includes(need)) throw new Error(`REQUIRE names ${need}, but this test ${reason}`)
    return reason
  }
  return undefined
}

function needsRoot(): string | undefined {
  return process.getuid?.() === 0 ? undefined : 'needs root'
}

/** To run the command as somebody else, that one must be able to read it. */
function needsUsers(): string | undefined {
  if (needsRoot()) return 'needs root, to be other users'
  const user = { uid: nobody, gid: nobody, cwd: '/' }
  const { status } = spawnSync(process.execPath, [command, '--version'], user)
  return status === 0 ? undefined : 'needs Node and this repository in folders that other users may enter'
}

function needsCgroup2(): string | undefined {
  const root = findCgroup2()
  if (root === undefined) return 'needs cgroup v2, which is not mounted'
  const group = join(root, `snapsafe-need-${process.pid}`)
  try {
    mkdirSync(group)
    const canFreeze = existsSync(join(group, 'cgroup.freeze'))
    rmdirSync(group)
    return canFreeze ? undefined : 'needs the freezer of cgroup v2, Linux 5.2 or newer'
  } catch (error) {
    return `needs to make a cgroup: ${(error as Error).message}`
  }
}

function missingProgram(name: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter)
  const found = folders.some((folder) => isExecutable(join(folder, name)))
  return found ? undefined : `needs ${name}`
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
