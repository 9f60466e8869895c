import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { eventually } from '../../../../../test/support/eventually.ts'
import { lacking } from '../../../../../test/support/needs.ts'
import { TestCgroup } from '../../../../../test/support/test-cgroup.ts'
import { cgroupOf, findCgroup2 } from './cgroup-mount.ts'

const folder = mkdtempSync(join(tmpdir(), 'snapsafe-mount-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function mountinfo(...lines: string[]): string {
  const file = join(folder, 'mountinfo')
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}

const hybrid = [
  '31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755',
  '32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu',
  '41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:3 master:1 - cgroup2 cgroup2 rw,nsdelegate',
]

describe('where cgroup v2 is', () => {
  it('is found beside version 1', () => {
    expect(findCgroup2(mountinfo(...hybrid))).toBe('/sys/fs/cgroup/unified')
  })

  it('is found where there is nothing else', () => {
    expect(findCgroup2(mountinfo('29 22 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw'))).toBe(
      '/sys/fs/cgroup',
    )
  })

  it('is found behind a name with a blank', () => {
    expect(findCgroup2(mountinfo('29 22 0:25 / /mnt/a\\040b rw - cgroup2 none rw'))).toBe('/mnt/a b')
  })

  it('is not where a part of it is mounted, as by a container engine', () => {
    expect(findCgroup2(mountinfo('29 22 0:25 /docker/1f /mnt rw - cgroup2 cgroup rw'))).toBeUndefined()
  })

  it('is nowhere on a machine with version 1 alone, or without /proc', () => {
    expect(findCgroup2(mountinfo(...hybrid.slice(0, 2)))).toBeUndefined()
    expect(findCgroup2(join(folder, 'nothing'))).toBeUndefined()
  })
})

const lack = lacking('cgroup2')
describe.skipIf(lack)(`the cgroup of a process${lack ? ` (${lack})` : ''}`, { timeout: 30_000 }, () => {
  it('is its path, as seen from the top that is named', async () => {
    await using cgroup = new TestCgroup()
    const path = cgroup.make('outer', 'outer/inner')
    const { pid } = await cgroup.loop('outer/inner')
    expect(cgroupOf(pid)).toBe(path)
    expect(cgroupOf(pid, cgroup.path)).toBe('/outer/inner')
    expect(cgroupOf(pid, path)).toBe('/')
    expect(cgroupOf(pid, path.slice(0, -1))).toBeUndefined()
    expect(cgroupOf('self', cgroup.path)).toBeUndefined()
    expect(cgroupOf('self')).toBe(cgroupOf(process.pid))
  })

  it('is none where the process is gone', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('a')
    const { pid, process } = await cgroup.loop('a')
    process.kill('SIGKILL')
    await eventually('it is gone', () => process.signalCode !== null)
    expect(cgroupOf(pid)).toBeUndefined()
  })
})
