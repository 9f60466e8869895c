import { describe, expect, it } from 'vitest'
import { lacking } from '../../../../../test/support/needs.ts'
import { TestCgroup } from '../../../../../test/support/test-cgroup.ts'
import { CgroupTree } from './cgroup-tree.ts'

const lack = lacking('cgroup2')
describe.skipIf(lack)(`the tree of cgroups${lack ? ` (${lack})` : ''}`, { timeout: 30_000 }, () => {
  it('knows the groups and what is in each', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('a/inner', 'b')
    const { pid } = await cgroup.loop('a/inner')
    const tree = new CgroupTree(cgroup.directory)
    expect(tree.children('/').sort()).toEqual(['/a', '/b'])
    expect(tree.children('/a')).toEqual(['/a/inner'])
    expect(['/', '/a', '/a/inner', '/b'].filter((path) => tree.hasProcesses(path))).toEqual(['/a/inner'])
    expect(tree.processes('/a/inner')).toEqual([pid])
    expect(tree.groupOf(pid)).toBe('/a/inner')
  })

  it('takes a group that is gone for one with nothing in it', async () => {
    await using cgroup = new TestCgroup()
    const tree = new CgroupTree(cgroup.directory)
    expect([tree.exists('/'), tree.exists('/gone')]).toEqual([true, false])
    expect([tree.children('/gone'), tree.processes('/gone'), tree.hasProcesses('/gone')]).toEqual([
      [],
      [],
      false,
    ])
  })

  it('tells threads of a group from those of its threaded children', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('a/threads')
    cgroup.write('a/threads', 'cgroup.type', 'threaded')
    const { pid } = await cgroup.loop('a')
    const tree = new CgroupTree(cgroup.directory)
    expect([tree.hasProcesses('/a'), tree.hasProcesses('/a/threads')]).toEqual([true, false])
    cgroup.write('a/threads', 'cgroup.threads', String(pid))
    expect([tree.hasProcesses('/a'), tree.hasProcesses('/a/threads')]).toEqual([false, true])
    expect([tree.exists('/a/threads'), tree.processes('/a/threads')]).toEqual([true, []])
  })
})
