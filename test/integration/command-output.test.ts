import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findCgroup2 } from '../../packages/guest/src/system/cgroup/cgroup-mount.ts'
import { CommandProcess, snapsafe } from '../support/command-process.ts'
import { type DaemonProcess, startDaemon } from '../support/daemon-process.ts'
import { eventually } from '../support/eventually.ts'
import { lacking } from '../support/needs.ts'
import { bump, call, TestWatcher } from '../support/test-watcher.ts'

const lackRoot = lacking('root')
let daemon: DaemonProcess
beforeAll(async () => {
  daemon = await startDaemon()
})
afterAll(() => daemon[Symbol.asyncDispose]())

describe('standard output', () => {
  it.each([
    [['status']],
    [['bump', '--reason', 'two\nlines']],
    [['wait']],
    [['wait', '--for', 'generation', '--from', '99999']],
    [['watchers']],
    [['log']],
    [['resume', '--same']],
    [['doctor']],
  ])('has one line of JSON and nothing else with --json: %j', async (args) => {
    const ways = [
      [...args, '--json'],
      ['--json', ...args],
    ]
    for (const { stdout } of await Promise.all(ways.map((way) => snapsafe(daemon, way)))) {
      expect(stdout).toMatch(/^\{[^\n]*\}\n$/)
      expect(JSON.parse(stdout)).toBeTypeOf('object')
    }
  })

  it('has a result only, and progress goes to standard error', async () => {
    await using slow = await TestWatcher.join(daemon.socket, { name: 'in the way', tracked: true })
    const { generation } = await bump(daemon.socket)
    await using wait = new CommandProcess(daemon, ['wait', '--json'])
    await eventually('the command tells of progress', async () => {
      await using _ = await TestWatcher.join(daemon.socket, { tracked: true })
      return wait.stderr.includes(' adjusted; slowest: in the way ')
    })
    expect(wait.lines).toEqual([])
    await slow.confirm(generation)
    const { code, stdout, stderr } = await wait.ended
    expect(code).toBe(0)
    expect(stdout).toMatch(/^[^\n]*\n$/)
    expect(JSON.parse(stdout)).toMatchObject({ generation, phase: 'running' })
    expect(stderr).toMatch(
      /^(generation \d+, adjusting \(stage application\), \d+ of \d+ adjusted(; slowest: [^\n]*)?\n)+$/,
    )
  })

  it('stays empty where a command fails', async () => {
    const { code, stdout, stderr } = await snapsafe({ runtimeDir: '/nonexistent' }, ['wait', '--json'])
    expect({ code, stdout }).toEqual({ code: 7, stdout: '' })
    expect(stderr).toMatch(/^snapsafe: [^\n]*\n$/)
  })

  it('has no control characters of other people in it', async () => {
    await using watcher = await TestWatcher.join(daemon.socket, { name: 'mischievous', tracked: true })
    const { generation } = await bump(daemon.socket)
    await watcher.confirm(generation, 'cannot\u001b[2J\r\nroot: all is well\u009b')
    for (const command of ['status', 'watchers']) {
      const { stdout } = await snapsafe(daemon, [command])
      expect(stdout).toContain('cannot [2J root: all is well')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
      expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
    }
  })

  it('may be closed early by its reader', async () => {
    await using watch = new CommandProcess(daemon, ['watch', '--name', 'unread'])
    await watch.printed(1)
    watch.stopReading()
    await bump(daemon.socket)
    const { code, stderr } = await watch.ended
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    await eventually('the daemon has forgotten the watcher', async () => {
      const { watchers } = await call(daemon.socket, 'ListWatchers', {})
      return watchers.every(({ name }) => name !== 'unread')
    })
  })
})

describe('doctor', () => {
  const checks = [
    ...['daemon', 'sources', 'page', 'addon', 'kernel-log', 'vmgenid-device', 'vmgenid-driver'],
    'freeze',
  ]
  /** What this machine has or has not, whatever snapsafe does. */
  const ofTheMachine = ['sources', 'kernel-log', 'vmgenid-device', 'vmgenid-driver', 'freeze']

  interface Finding {
    readonly check: string
    readonly verdict: string
    readonly found: string
    readonly advice?: string
  }

  it('--json names every check with its verdict and what was found', async () => {
    const { code, stdout } = await snapsafe(daemon, ['doctor', '--json'])
    const { ok, findings }: { ok: boolean; findings: Finding[] } = JSON.parse(stdout)
    expect(findings.map(({ check }) => check)).toEqual(checks)
    for (const finding of findings) {
      expect(finding).toEqual({
        check: expect.any(String),
        verdict: expect.stringMatching(/^(ok|warning|failed|unknown)$/),
        found: expect.stringMatching(/./),
        ...(finding.advice !== undefined && { advice: expect.stringMatching(/./) }),
      })
      if (finding.verdict === 'failed') expect(finding.advice).toBeDefined()
      if (!ofTheMachine.includes(finding.check)) expect(finding).toMatchObject({ verdict: 'ok' })
    }
    const failed = findings.filter(({ verdict }) => verdict === 'failed')
    expect(ok).toBe(failed.length === 0)
    // All that can be wrong here is the machine: a restore would not be seen on it, which is "not supported here".
    expect(code).toBe(ok ? 0 : 5)
  })

  it('says that nothing sees a restore where every source is switched off', async () => {
    const { findings }: { findings: Finding[] } = JSON.parse(
      (await snapsafe(daemon, ['doctor', '--json'])).stdout,
    )
    expect(findings[1]).toMatchObject({
      check: 'sources',
      verdict: 'warning',
      found: 'every source is switched off',
      advice: expect.stringContaining('bump'),
    })
  })

  it.skipIf(lackRoot)(`names the sources that are at work${lackRoot ? ` (${lackRoot})` : ''}`, async () => {
    await using watching = await startDaemon({ config: '[sources]\nkmsg = "on"' })
    const { stdout } = await snapsafe(watching, ['doctor', '--json'])
    const { findings }: { findings: Finding[] } = JSON.parse(stdout)
    expect(findings[1]).toEqual({ check: 'sources', verdict: 'ok', found: 'kmsg working' })
  })

  it('says what the daemon would freeze, as it is configured', async () => {
    const freezeOf = async (config: string): Promise<Finding | undefined> => {
      await using other = await startDaemon({ config })
      const { stdout } = await snapsafe(other, ['doctor', '--json'])
      return (JSON.parse(stdout) as { findings: Finding[] }).findings.find(({ check }) => check === 'freeze')
    }
    expect(await freezeOf('')).toEqual({
      check: 'freeze',
      verdict: 'warning',
      found: 'a planned snapshot freezes nothing',
      advice: 'processes run on while a planned snapshot is taken; see [freeze] in snapsafed.toml',
    })
    const groups = '[freeze]\ngroups = ["/web"]\nexcept = ["/web/proxy"]'
    expect(await freezeOf(groups)).toEqual(
      findCgroup2() === undefined
        ? {
            check: 'freeze',
            verdict: 'warning',
            found: expect.stringContaining('a planned snapshot cannot freeze: cgroup v2 is not mounted'),
            advice: expect.stringContaining('[freeze]'),
          }
        : { check: 'freeze', verdict: 'ok', found: 'a planned snapshot freezes /web but /web/proxy' },
    )
  })

  it('fails with 1 where the daemon is missing, and says what to do', async () => {
    const { code, stdout, stderr } = await snapsafe({ runtimeDir: '/nonexistent' }, ['doctor', '--json'])
    const { ok, findings }: { ok: boolean; findings: Finding[] } = JSON.parse(stdout)
    expect({ code, ok }).toEqual({ code: 1, ok: false })
    expect(findings[0]).toMatchObject({
      check: 'daemon',
      verdict: 'failed',
      advice: expect.stringContaining('start it'),
    })
    expect(findings[1]).toMatchObject({ check: 'sources', verdict: 'unknown' })
    expect(findings[2]).toMatchObject({ check: 'page', verdict: 'failed' })
    expect(findings.at(-1)).toMatchObject({ check: 'freeze', verdict: 'unknown', advice: 'see daemon' })
    expect(stderr).toMatch(/^snapsafe: failed: daemon, page/)
  })
})
