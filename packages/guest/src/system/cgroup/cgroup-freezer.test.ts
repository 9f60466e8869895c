import { type ChildProcess, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as immediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { eventually } from '../../../../../test/support/eventually.ts'
import { lacking } from '../../../../../test/support/needs.ts'
import { type Loop, TestCgroup } from '../../../../../test/support/test-cgroup.ts'
import { CgroupFreezer } from './cgroup-freezer.ts'
import { FreezeError } from './freeze-error.ts'
import { thawRecorded } from './thaw-recorded.ts'

const timeoutMs = 5000
/** Of a program that a test starts. */
const startTimeoutMs = 20_000
const stuckProgram = join(import.meta.dirname, '../../../../../test/support/stuck-program.py')
/** These wait for processes that share the machine with others. */
const patient = { timeout: 60_000 }
const howTo = join(import.meta.dirname, '../../../../../docs/how-to/freeze.md')
const lack = lacking('cgroup2')

function setUp(cgroup: TestCgroup) {
  const record = join(cgroup.folder, 'frozen')
  return { record, freezer: new CgroupFreezer({ root: cgroup.directory, record }) }
}

/** Resolves with what the first loop did while the second made many steps. */
async function stepsMeanwhile(watched: Loop, other: Loop): Promise<number> {
  const before = watched.steps()
  const end = other.steps() + 20_000
  await eventually('the other loop goes on', () => other.steps() > end, { deadlineMs: 30_000 })
  return watched.steps() - before
}

/** Resolves when a program has said something. */
async function firstOutput({ stdout }: ChildProcess): Promise<void> {
  if (stdout) await once(stdout, 'data', { signal: AbortSignal.timeout(startTimeoutMs) })
}

async function errorOf(promise: Promise<unknown>): Promise<FreezeError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(FreezeError)
  return error as FreezeError
}

describe.skipIf(lack)(`freezing cgroups${lack ? ` (${lack})` : ''}`, patient, () => {
  it('stops every process of a group and below, and no other; thawing lets them go on', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('a/inner', 'b')
    const [direct, inner, other] = await Promise.all([
      cgroup.loop('a'),
      cgroup.loop('a/inner'),
      cgroup.loop('b'),
    ])
    const { freezer } = setUp(cgroup)

    await freezer.freeze(['/a'], { timeoutMs })
    expect(await stepsMeanwhile(direct, other)).toBe(0)
    expect(await stepsMeanwhile(inner, other)).toBe(0)

    expect(freezer.thaw()).toEqual([])
    expect(freezer.thaw()).toEqual([])
    await stepsMeanwhile(other, direct)
    await stepsMeanwhile(other, inner)
  })

  it('keeps a record of all groups while they are frozen, for its owner alone', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('a', 'b', 'c')
    const { freezer, record } = setUp(cgroup)
    expect(freezer.recorded()).toEqual([])
    await freezer.freeze(['/a', '/b'], { timeoutMs })
    const before = statSync(record).ino
    await freezer.freeze(['/c', '/a'], { timeoutMs })
    // Replaced as a whole: there is no moment at which it is half written.
    expect(statSync(record).ino).not.toBe(before)
    const directories = ['a', 'b', 'c'].map((name) => join(cgroup.directory, name))
    expect(readFileSync(record, 'utf8')).toBe(`${directories.join('\n')}\n`)
    expect(statSync(record).mode & 0o777).toBe(0o600)
    expect(freezer.recorded()).toEqual(directories)
    expect(freezer.thaw()).toEqual([])
    expect(freezer.recorded()).toEqual([])
    expect(readdirSync(cgroup.folder)).toEqual([])
    expect(['a', 'b', 'c'].filter((name) => cgroup.isFrozen(name))).toEqual([])
  })

  it('freezes nothing that it cannot put on record', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('a')
    const record = join(cgroup.folder, 'missing', 'frozen')
    const freezer = new CgroupFreezer({ root: cgroup.directory, record })
    expect((await errorOf(freezer.freeze(['/a'], { timeoutMs }))).message).toMatch(/ENOENT.*missing/)
    expect(cgroup.read('a', 'cgroup.freeze')).toBe('0')
  })

  it('leaves a record of all that is frozen whenever it is killed, which another one thaws', async () => {
    await using cgroup = new TestCgroup()
    const names = Array.from({ length: 300 }, (_, index) => `group-${index}`)
    cgroup.make(...names, 'freezer')
    const { freezer, record } = setUp(cgroup)
    const program = `
      import { CgroupFreezer } from ${JSON.stringify(join(import.meta.dirname, 'cgroup-freezer.ts'))}
      const freezer = new CgroupFreezer(${JSON.stringify({ root: cgroup.directory, record })})
      const groups = ${JSON.stringify(names.map((name) => `/${name}`))}
      console.log('begins')
      for (;;) {
        await freezer.freeze(groups, { timeoutMs: 5000 })
        freezer.thaw()
      }`
    let frozenAtKill = 0
    for (let kill = 0; kill < 5; kill++) {
      const args = ['--import', 'tsx', '--input-type=module', '--eval', program]
      const child = cgroup.run('freezer', process.execPath, args)
      await firstOutput(child)
      const mark = names[Math.floor(Math.random() * names.length)] ?? ''
      // Without a pause: most of the time, it is in the middle of its work then.
      while (child.exitCode === null && cgroup.read(mark, 'cgroup.freeze') !== '1') await immediate()
      child.kill('SIGKILL')
      await eventually('it is gone', () => child.signalCode !== null)
      const frozen = names.filter((name) => cgroup.read(name, 'cgroup.freeze') === '1')
      const recorded = freezer.recorded()
      expect(frozen.filter((name) => !recorded.includes(join(cgroup.directory, name)))).toEqual([])
      frozenAtKill += frozen.length
      expect(thawRecorded(record)).toEqual([])
      expect(names.filter((name) => cgroup.read(name, 'cgroup.freeze') === '1')).toEqual([])
    }
    expect(frozenAtKill).toBeGreaterThan(0)
  })

  it('leaves alone what somebody else has frozen', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('a/inner', 'b')
    const { freezer } = setUp(cgroup)
    cgroup.write('a', 'cgroup.freeze', '1')
    cgroup.write('b', 'cgroup.freeze', '0')
    await freezer.freeze(['/a', '/b'], { timeoutMs })
    expect(freezer.recorded()).toEqual([join(cgroup.directory, 'b')])
    freezer.thaw()
    expect([cgroup.isFrozen('a'), cgroup.isFrozen('b')]).toEqual([true, false])
  })

  it('does not miss a group that has vanished, before or while it is frozen', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('a', 'b')
    const { freezer } = setUp(cgroup)
    await freezer.freeze(['/gone', '/a', '/b'], { timeoutMs })
    rmdirSync(join(cgroup.directory, 'a'))
    expect(freezer.thaw()).toEqual([])
    expect(freezer.recorded()).toEqual([])
    expect(cgroup.isFrozen('b')).toBe(false)
  })

  it('lets SIGKILL through to a frozen process', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('a')
    const { process } = await cgroup.loop('a')
    await setUp(cgroup).freezer.freeze(['/a'], { timeoutMs })
    process.kill('SIGKILL')
    await eventually('it is gone', () => process.signalCode !== null)
    expect(process.signalCode).toBe('SIGKILL')
  })

  it('refuses the root group, and a group with itself in it', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('a/self')
    const { freezer, record } = setUp(cgroup)
    expect((await errorOf(freezer.freeze(['/'], { timeoutMs }))).message).toContain('root group')
    const program = `
      import { writeFileSync } from 'node:fs'
      import { CgroupFreezer } from ${JSON.stringify(join(import.meta.dirname, 'cgroup-freezer.ts'))}
      writeFileSync(${JSON.stringify(join(cgroup.directory, 'a/self/cgroup.procs'))}, String(process.pid))
      const freezer = new CgroupFreezer(${JSON.stringify({ root: cgroup.directory, record })})
      await freezer.freeze(['/a'], { timeoutMs: 1000 }).catch(({ code, message }) => console.log(code, message))`
    const args = ['--import', 'tsx', '--input-type=module', '--eval', program]
    // One that did freeze itself would be there for ever.
    const { stdout } = spawnSync(process.execPath, args, {
      encoding: 'utf8',
      timeout: 10_000,
      killSignal: 'SIGKILL',
    })
    expect(stdout).toBe('ERR_SNAPSAFE_FREEZE cannot freeze: this process itself is in /a\n')
  })

  it('goes back when it is told to give up before it has begun', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('a', 'b')
    const { freezer } = setUp(cgroup)
    await freezer.freeze(['/a'], { timeoutMs })
    const error = await errorOf(freezer.freeze(['/b'], { timeoutMs, signal: AbortSignal.abort() }))
    expect(error.message).toContain('given up')
    expect([cgroup.isFrozen('a'), cgroup.isFrozen('b')]).toEqual([false, false])
  })

  it('can be undone by hand, as the documentation says', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('a', 'b\\x2dc')
    const { freezer, record } = setUp(cgroup)
    await freezer.freeze(['/a', '/b\\x2dc'], { timeoutMs })
    const documented = /```sh\n(while read[^`]*)```/.exec(readFileSync(howTo, 'utf8'))?.[1] ?? ''
    const script = documented.replaceAll('/run/snapsafe/frozen', record)
    expect(spawnSync('sh', ['-euc', script], { encoding: 'utf8', timeout: 10_000 })).toMatchObject({
      status: 0,
      stderr: '',
    })
    expect([cgroup.isFrozen('a'), cgroup.isFrozen('b\\x2dc')]).toEqual([false, false])
    expect(freezer.recorded()).toEqual([])
  })

  it('holds what is moved there later', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('a', 'b')
    const [moved, other] = await Promise.all([cgroup.loop('b'), cgroup.loop('b')])
    const { freezer } = setUp(cgroup)
    await freezer.freeze(['/a'], { timeoutMs })
    cgroup.write('a', 'cgroup.procs', String(moved.pid))
    await eventually('it is frozen', () => cgroup.isFrozen('a'))
    expect(await stepsMeanwhile(moved, other)).toBe(0)
    freezer.thaw()
    await stepsMeanwhile(other, moved)
  })

  it('says what it cannot thaw, and keeps it on record', async () => {
    await using cgroup = new TestCgroup()
    const { record } = setUp(cgroup)
    writeFileSync(record, '/dev/null\n/proc/1/nothing\n')
    expect(thawRecorded(record)).toEqual([expect.stringMatching(/^cannot thaw \/dev\/null: ENOTDIR/)])
    expect(readFileSync(record, 'utf8')).toBe('/dev/null\n')
  })

  it('keeps no file open', async () => {
    await using cgroup = new TestCgroup()
    cgroup.make('a')
    const { freezer } = setUp(cgroup)
    const open = () => readdirSync('/proc/self/fd').length
    const before = open()
    for (let round = 0; round < 50; round++) {
      await freezer.freeze(['/a', '/gone'], { timeoutMs })
      freezer.thaw()
    }
    expect(open()).toBe(before)
  })
})

const stuckLack = lacking('cgroup2', 'fuse', 'python3')
describe.skipIf(stuckLack)(
  `a process that cannot be frozen${stuckLack ? ` (${stuckLack})` : ''}`,
  patient,
  () => {
    async function stuck(cgroup: TestCgroup): Promise<number> {
      cgroup.make('a/inner', 'b')
      const child = cgroup.run('a/inner', 'python3', [stuckProgram, cgroup.folder])
      await firstOutput(child)
      await eventually('it waits in the kernel', () =>
        readFileSync(`/proc/${child.pid}/stat`, 'utf8').includes(') D '),
      )
      return child.pid ?? 0
    }

    it('is named when the time is over, and everything runs again', async () => {
      await using cgroup = new TestCgroup()
      const pid = await stuck(cgroup)
      const loop = await cgroup.loop('b')
      const { freezer } = setUp(cgroup)
      const error = await errorOf(freezer.freeze(['/b', '/a'], { timeoutMs: 100 }))
      expect(error.code).toBe('ERR_SNAPSAFE_FREEZE')
      expect(error.message).toMatch(
        new RegExp(
          `^cannot freeze: it takes longer than 100 ms: in /a, process ${pid} \\(python.*\\) waits in the`,
        ),
      )
      expect(freezer.recorded()).toEqual([])
      expect(['a', 'a/inner', 'b'].map((name) => cgroup.read(name, 'cgroup.freeze'))).toEqual(['0', '0', '0'])
      const steps = loop.steps()
      await eventually('the loop goes on', () => loop.steps() > steps)
    })

    it.each([
      [
        'a signal',
        (_: CgroupFreezer, controller: AbortController) => controller.abort(),
        'it was given up: in /a',
      ],
      ['a thaw', (freezer: CgroupFreezer) => void freezer.thaw(), 'it was thawed meanwhile'],
    ])('is not waited for after %s', async (_, end, message) => {
      await using cgroup = new TestCgroup()
      await stuck(cgroup)
      const { freezer } = setUp(cgroup)
      const controller = new AbortController()
      const freezing = errorOf(freezer.freeze(['/b', '/a'], { timeoutMs: 60_000, signal: controller.signal }))
      await eventually('the other group is frozen', () => cgroup.isFrozen('b'))
      end(freezer, controller)
      expect((await freezing).message).toContain(message)
      expect(cgroup.isFrozen('b')).toBe(false)
    })
  },
)
