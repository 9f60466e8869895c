import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Finding } from './check.ts'
import { checkFreeze } from './freeze-check.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'snapsafe freeze-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const cgroup1 = '35 31 0:32 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n'

/** As mountinfo has it, with blanks as octal digits. */
function cgroup2(path: string, options = 'rw', superOptions = 'rw'): string {
  const escaped = path.replaceAll(' ', '\\040')
  return `41 31 0:38 / ${escaped} ${options},relatime shared:9 - cgroup2 cgroup2 ${superOptions},nsdelegate\n`
}

/** Checks a machine with these mounts. */
function look(mounts: string, release = '6.12.41+deb13-amd64'): Finding {
  const mountinfo = join(folder, 'mountinfo')
  const osrelease = join(folder, 'osrelease')
  writeFileSync(mountinfo, mounts)
  writeFileSync(osrelease, `${release}\n`)
  return checkFreeze(mountinfo, osrelease)
}

/** A hierarchy with one group in it, which has these files. */
function hierarchy(name: string, ...files: string[]): string {
  const mount = join(folder, name)
  mkdirSync(join(mount, 'a.slice'), { recursive: true })
  for (const file of files) writeFileSync(join(mount, 'a.slice', file), '')
  return mount
}

describe('whether the workload can be frozen', () => {
  it('is so where a group of a cgroup2 mount has a freezer', () => {
    const mount = hierarchy('unified', 'cgroup.procs', 'cgroup.freeze')
    expect(look(cgroup1 + cgroup2(mount))).toEqual({
      check: 'freeze',
      verdict: 'ok',
      found: `cgroup2 on ${mount} has a freezer`,
    })
  })

  it('is so where the mount shows a group itself, as in a container', () => {
    const mount = join(folder, 'part')
    mkdirSync(mount)
    writeFileSync(join(mount, 'cgroup.freeze'), '')
    expect(look(cgroup2(mount))).toMatchObject({ verdict: 'ok' })
  })

  it('takes a mount that can be written, whichever comes first', () => {
    const [first, second] = [hierarchy('one', 'cgroup.freeze'), hierarchy('two', 'cgroup.freeze')]
    expect(look(cgroup2(first, 'ro') + cgroup2(second))).toMatchObject({
      found: expect.stringContaining(second),
      verdict: 'ok',
    })
  })

  it.each([
    ['cgroup2 is mounted nowhere', () => cgroup1, '6.12.0', /^cgroup2 is mounted nowhere$/, /^mount -t/],
    [
      'the mount is read-only',
      () => cgroup2(hierarchy('unified', 'cgroup.freeze'), 'ro'),
      '6.12.0',
      /is mounted read-only$/,
      /^run the daemon where/,
    ],
    [
      'the file system is read-only',
      () => cgroup2(hierarchy('unified', 'cgroup.freeze'), 'rw', 'ro'),
      '6.12.0',
      /is mounted read-only$/,
      /^run the daemon where/,
    ],
    [
      'its groups have no freezer',
      () => cgroup2(hierarchy('unified', 'cgroup.procs')),
      '6.12.0',
      /has no cgroup.freeze \(6.12.0\)$/,
      /^use a kernel from 5.2 on/,
    ],
    [
      'the kernel is too old to tell without a group',
      () => cgroup2(join(folder, 'gone')),
      '4.19.0-27-amd64',
      /has no cgroup.freeze \(4.19.0-27-amd64\)$/,
      /^use a kernel from 5.2 on/,
    ],
    [
      'there is no group',
      () => cgroup2(join(folder, 'gone')),
      '5.2.0',
      /has no group below it$/,
      /^start the workload/,
    ],
  ])('is in doubt, with advice, where %s', (_, mounts, release, found, advice) => {
    expect(look(mounts(), release)).toEqual({
      check: 'freeze',
      verdict: 'warning',
      found: expect.stringMatching(found),
      advice: expect.stringMatching(advice),
    })
  })

  it('does not fail on this machine, whatever it has', () => {
    expect(['ok', 'warning']).toContain(checkFreeze().verdict)
  })
})
