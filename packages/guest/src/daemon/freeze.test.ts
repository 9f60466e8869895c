import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { eventually } from '../../../../test/support/eventually.ts'
import { lacking } from '../../../../test/support/needs.ts'
import { TestCgroup } from '../../../../test/support/test-cgroup.ts'
import { cgroupOf, findCgroup2 } from '../system/cgroup/cgroup-mount.ts'
import { parseConfig } from './config.ts'
import { Freeze } from './freeze.ts'

const lack = lacking('cgroup2')

interface SetUp {
  readonly toml?: string
  readonly isSystem?: boolean
  readonly systemd?: boolean
  readonly root?: string
}

function setUp(
  cgroup: TestCgroup,
  { toml = '', isSystem = true, systemd = true, root = cgroup.directory }: SetUp,
) {
  const errors: string[] = []
  const fail = (message: string) => {
    throw new Error(`there was no reason to log: ${message}`)
  }
  const record = join(cgroup.folder, 'frozen')
  const { freeze: config } = parseConfig(`[freeze]\n${toml}`, 'test.toml')
  const log = { error: (message: string) => void errors.push(message), warning: fail, info: fail }
  return { freeze: new Freeze({ config, record, isSystem, log, root, systemd }), record, errors }
}

describe.skipIf(lack)(`what the daemon freezes${lack ? ` (${lack})` : ''}`, { timeout: 30_000 }, () => {
  it('with systemd, is everything but what has to run on', async () => {
    await using cgroup = new TestCgroup()
    const runsOn = [
      'init.scope',
      'system.slice/qemu-guest-agent.service',
      'system.slice/system-systemd\\x2djournald.slice',
      'system.slice/systemd-journald.service',
      'system.slice/systemd-udevd.service',
    ]
    const user = 'user.slice/user-1000.slice'
    const standsStill = [
      'system.slice/web.service',
      'system.slice/cron.service',
      'machine.slice/vm.scope',
      `${user}/s2.scope`,
    ]
    cgroup.make(...runsOn, ...standsStill, `${user}/s1.scope/inner`)
    const caller = await cgroup.loop(`${user}/s1.scope/inner`)
    await cgroup.loop(`${user}/s1.scope`)
    await cgroup.loop('system.slice/web.service')
    const { freeze } = setUp(cgroup, {})

    const { frozen, running } = await freeze.freeze({ callerPid: caller.pid })
    expect(frozen.sort()).toEqual(standsStill.map((name) => `/${name}`).sort())
    expect(running.map(({ group }) => group).sort()).toEqual(
      [...runsOn, `${user}/s1.scope`, `${user}/s1.scope/inner`].map((name) => `/${name}`).sort(),
    )
    expect(running).toContainEqual({
      group: `/${user}/s1.scope/inner`,
      why: 'the caller of Quiesce runs in it and has to take the answer',
    })
    expect(standsStill.filter((name) => !cgroup.isFrozen(name))).toEqual([])
    expect([...runsOn, `${user}/s1.scope/inner`].filter((name) => cgroup.isFrozen(name))).toEqual([])
    freeze.thaw()
    expect(standsStill.filter((name) => cgroup.isFrozen(name))).toEqual([])
  })

  it('is never this process, nor what is with it; even where its group is named', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('work/a', 'work/snapsafed/inner')
    const { freeze } = setUp(cgroup, { toml: 'groups = ["/work"]' })
    const before = join(findCgroup2() ?? '', cgroupOf('self') ?? '', 'cgroup.procs')
    cgroup.write('work/snapsafed', 'cgroup.procs', String(process.pid))
    try {
      expect(await freeze.freeze({ callerPid: process.pid })).toEqual({
        frozen: ['/work/a'],
        running: [
          {
            group: '/work/snapsafed',
            why: 'snapsafed runs in it; the caller of Quiesce runs in it and has to take the answer',
          },
        ],
      })
    } finally {
      // First of all: the test's group goes with everything that is in it.
      writeFileSync(before, String(process.pid))
      freeze.thaw()
    }
  })

  it('does not include processes of the root group, which it names', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('a')
    const { freeze } = setUp(cgroup, {})
    const why = 'in the root group, which cannot be frozen (for instance sh)'
    await cgroup.loop('')
    expect((await freeze.freeze()).running).toEqual([{ group: '/', why: `1 process is ${why}` }])
    await cgroup.loop('')
    expect((await freeze.freeze()).running).toEqual([{ group: '/', why: `2 processes are ${why}` }])
    freeze.thaw()
  })

  it('is what the configuration names, but what it excepts, and the caller’s group even where that is named', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('work/db', 'work/web-1', 'other', 'mine')
    const caller = await cgroup.loop('mine')
    const { freeze } = setUp(cgroup, {
      toml: 'groups = ["/work", "/mine"]\nexcept = ["/work/web-*"]\n',
      systemd: false,
      isSystem: false,
    })
    expect(await freeze.freeze({ callerPid: caller.pid })).toEqual({
      frozen: ['/work/db'],
      running: [
        { group: '/work/web-1', why: 'the configuration says so (except)' },
        { group: '/mine', why: 'the caller of Quiesce runs in it and has to take the answer' },
      ],
    })
    expect(freeze.describe()).toBe('a planned snapshot freezes /work, /mine but /work/web-*')
    expect(freeze.possible).toBe(true)
    freeze.thaw()
  })

  it('is nothing with mode = "off", or in a trial without groups', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('a')
    for (const options of [{ toml: 'mode = "off"\ngroups = ["/a"]' }, { isSystem: false }]) {
      const { freeze } = setUp(cgroup, options)
      expect(freeze.enabled).toBe(false)
      expect(await freeze.freeze()).toEqual({ frozen: [], running: [] })
      expect(cgroup.isFrozen('a')).toBe(false)
      expect(freeze.describe()).toBe('a planned snapshot freezes nothing')
      expect(freeze.possible).toBe(false)
    }
  })

  it.each([
    [
      'groups that are not there',
      { toml: 'groups = ["/nowhere"]' },
      /nothing to freeze \(\/nowhere: there is no such group\)/,
    ],
    [
      'everything excepted',
      { toml: 'groups = ["/a"]\nexcept = ["/*"]' },
      /nothing to freeze \(\/a: the configuration/,
    ],
    ['no groups and no systemd', { systemd: false }, /name groups in \[freeze\], or set mode = "off"/],
    [
      'no groups, no systemd and mode = "on"',
      { toml: 'mode = "on"', systemd: false, isSystem: false },
      /name groups/,
    ],
  ])('is an error with %s', async (_, options, message) => {
    await using cgroup = new TestCgroup()
    cgroup.make('a')
    const { freeze } = setUp(cgroup, options)
    await expect(freeze.freeze()).rejects.toMatchObject({
      code: 'ERR_SNAPSAFE_FREEZE',
      message: expect.stringMatching(message),
    })
  })

  it('is nothing after a signal to give up', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('a')
    const { freeze } = setUp(cgroup, {})
    await expect(freeze.freeze({ signal: AbortSignal.abort() })).rejects.toThrow('given up')
    expect(cgroup.isFrozen('a')).toBe(false)
  })

  it('is thawed by a daemon that comes later, whatever its configuration; what cannot be is in its log', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('a')
    await setUp(cgroup, {}).freeze.freeze()
    const { freeze, record, errors } = setUp(cgroup, { toml: 'mode = "off"' })
    freeze.thaw()
    expect(cgroup.isFrozen('a')).toBe(false)
    expect(errors).toEqual([])
    writeFileSync(record, '/dev/null\n')
    freeze.thaw()
    expect(errors).toEqual([expect.stringContaining('cannot thaw /dev/null')])
  })
})

describe('a freeze that is undone while it waits', () => {
  it('does not thaw the next one', async () => {
    // Files stand in for a group: here the test says when it stands still.
    const path = mkdtempSync(join(tmpdir(), 'snapsafe-freeze-'))
    onTestFinished(() => rmSync(path, { recursive: true }))
    const group = join(path, 'work')
    mkdirSync(group)
    const write = (file: string, text: string) => writeFileSync(join(group, file), text)
    write('cgroup.freeze', '0\n')
    write('cgroup.procs', '')
    write('cgroup.events', 'populated 1\nfrozen 0\n')
    const { freeze: config } = parseConfig('[freeze]\ngroups = ["/work"]\n', 'test.toml')
    const log = { error() {}, warning() {}, info() {} }
    const record = join(path, 'frozen')
    const freeze = new Freeze({ config, record, isSystem: false, log, root: path, systemd: false })

    const undone = new AbortController()
    const first = freeze.freeze({ signal: undone.signal })
    await eventually('it is being frozen', () => existsSync(record))
    undone.abort()
    freeze.thaw()
    const second = freeze.freeze()
    write('cgroup.events', 'populated 1\nfrozen 1\n')
    await expect(first).rejects.toThrow()
    expect(await second).toMatchObject({ frozen: ['/work'] })
    expect(readFileSync(join(group, 'cgroup.freeze'), 'utf8').trim()).toBe('1')
    expect(existsSync(record)).toBe(true)
  })
})
