import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Methods, type Phase, VarlinkError } from 'snapsafe/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type DaemonProcess, runDaemon, startDaemon } from '../support/daemon-process.ts'
import { eventually } from '../support/eventually.ts'
import { lacking } from '../support/needs.ts'
import { type Loop, TestCgroup } from '../support/test-cgroup.ts'
import { bump, call, stateOf, TestWatcher } from '../support/test-watcher.ts'

type Quiesced = Methods['Quiesce']['parameters']

const phases: readonly Phase[] = ['running', 'quiescing', 'quiesced', 'adjusting']

async function refusal(promise: Promise<unknown>): Promise<{ name: string; parameters: object }> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof VarlinkError)) throw new Error(`no refusal: ${error}`)
  return { name: error.name.replace('io.snapsafe.Generation.', ''), parameters: error.parameters }
}

describe('a planned snapshot', () => {
  let daemon: DaemonProcess

  beforeEach(async () => {
    daemon = await startDaemon({ config: '[freeze]\nsettle = "50ms"\n' })
  })
  afterEach(() => daemon[Symbol.asyncDispose]())

  const quiesce = (parameters: Quiesced = {}) => call(daemon.socket, 'Quiesce', parameters)
  const resume = (parameters: Methods['Resume']['parameters'] = {}) =>
    call(daemon.socket, 'Resume', parameters)
  const prepare = (watcher: TestWatcher, quiesce: number, veto?: string) =>
    call(daemon.socket, 'ConfirmQuiesce', { watcher: watcher.id, quiesce, ...(veto && { veto }) })
  const onPage = () => phases[readFileSync(daemon.pagePath).readUInt32LE(4)]

  it('is on the page and in the state, and without a restore changes nothing', async () => {
    const { generation, generationId } = await stateOf(daemon.socket)
    const { state } = await quiesce({ reason: 'a backup' })
    expect(state).toMatchObject({
      phase: 'quiesced',
      generation,
      quiesce: { quiesce: 1, reason: 'a backup' },
    })
    expect(onPage()).toBe('quiesced')
    const { restored, state: after } = await resume()
    expect(restored).toBe(false)
    expect(after).toMatchObject({ phase: 'running', generation, generationId })
    expect(after.quiesce).toBeUndefined()
    expect(onPage()).toBe('running')
  })

  it('asks watchers one after another, the one that was registered last first', async () => {
    const options = { beforeSnapshot: true, tracked: true }
    await using first = await TestWatcher.join(daemon.socket, { name: 'first', ...options })
    await using late = await TestWatcher.join(daemon.socket, { name: 'late', ...options })
    // One that comes back to the place that it had.
    await using earliest = await TestWatcher.join(daemon.socket, {
      name: 'earliest',
      registeredAtUsec: 1,
      ...options,
    })
    const quiesced = quiesce()
    for (const watcher of [late, first, earliest]) {
      const { state } = await watcher.until('quiesce')
      expect(state.quiesce).toMatchObject({ prepared: [late, first, earliest].indexOf(watcher), of: 3 })
      await prepare(watcher, state.quiesce?.quiesce ?? 0)
    }
    expect((await quiesced).state.phase).toBe('quiesced')
    await resume({ restored: false })
    await Promise.all([first, late, earliest].map((watcher) => watcher.until('resumed')))
  })

  it('is undone by a veto, which the caller is told of with its reason', async () => {
    await using writer = await TestWatcher.join(daemon.socket, { name: 'writer', beforeSnapshot: true })
    const quiesced = refusal(quiesce())
    const { state } = await writer.until('quiesce')
    await prepare(writer, state.quiesce?.quiesce ?? 0, 'a backup runs')
    expect(await quiesced).toEqual({
      name: 'Vetoed',
      parameters: { name: 'writer', pid: process.pid, reason: 'a backup runs' },
    })
    await writer.until('resumed')
    expect(onPage()).toBe('running')
  })

  it('is forced past vetoes and past those who say nothing', async () => {
    await using silent = await TestWatcher.join(daemon.socket, { name: 'silent', beforeSnapshot: true })
    await using writer = await TestWatcher.join(daemon.socket, { name: 'writer', beforeSnapshot: true })
    const quiesced = quiesce({ force: true, deadlineMs: 200 })
    const { state } = await writer.until('quiesce')
    await prepare(writer, state.quiesce?.quiesce ?? 0, 'no')
    await silent.until('quiesce')
    expect((await quiesced).state.phase).toBe('quiesced')
  })

  it('is undone when a watcher does not prepare in time, and names it', async () => {
    await using _ = await TestWatcher.join(daemon.socket, { name: 'sleeper', beforeSnapshot: true })
    const { name, parameters } = await refusal(quiesce({ deadlineMs: 100 }))
    expect({ name, parameters }).toEqual({
      name: 'QuiesceFailed',
      parameters: { reason: `sleeper (pid ${process.pid}) did not prepare in time` },
    })
  })

  it('does not wait for a watcher that goes', async () => {
    const watcher = await TestWatcher.join(daemon.socket, { name: 'leaver', beforeSnapshot: true })
    const quiesced = quiesce()
    await watcher.until('quiesce')
    await watcher[Symbol.asyncDispose]()
    expect((await quiesced).state.phase).toBe('quiesced')
  })

  it('is refused while another one is planned, and while the guest is adjusting', async () => {
    await quiesce()
    expect(await refusal(quiesce())).toEqual({ name: 'WrongPhase', parameters: { phase: 'quiesced' } })
    await resume({ restored: false })
    await using watcher = await TestWatcher.join(daemon.socket, { tracked: true })
    const { generation } = await bump(daemon.socket)
    expect(await refusal(quiesce())).toEqual({ name: 'WrongPhase', parameters: { phase: 'adjusting' } })
    await watcher.confirm(generation)
  })

  it('takes no answer to another one than the present', async () => {
    await using watcher = await TestWatcher.join(daemon.socket, { name: 'w', beforeSnapshot: true })
    const quiesced = quiesce()
    await watcher.until('quiesce')
    expect((await refusal(prepare(watcher, 7))).name).toBe('StaleQuiesce')
    await prepare(watcher, 1)
    await quiesced
    expect((await refusal(prepare(watcher, 1))).name).toBe('StaleQuiesce')
  })

  it('that a restore follows ends in a new generation, once for each name of the host', async () => {
    const { generation } = (await quiesce()).state
    const { restored, state } = await resume({ restoreId: 'restore-1', seed: 'ab'.repeat(64) })
    expect({ restored, cause: state.cause }).toEqual({ restored: true, cause: 'host' })
    expect(state.generation).toBe(generation + 1)
    expect((await resume({ restoreId: 'restore-1' })).state.generation).toBe(generation + 1)
    expect((await resume({ restoreId: 'restore-2' })).state.generation).toBe(generation + 2)
  })

  it('is not undone, and ends in a generation, when the time is up that nobody spoke in', async () => {
    const { generation } = (await quiesce({ thawAfterMs: 100 })).state
    const { state } = await call(daemon.socket, 'Wait', { for: 'generation', from: generation })
    expect(state).toMatchObject({ generation: generation + 1, cause: 'ambiguous' })
    expect(state.evidence).toMatchObject([{ source: 'daemon', detail: expect.stringContaining('its time') }])
  })

  it('is one restore with what the host says of it, also when the host is late', async () => {
    const { generation } = (await quiesce({ thawAfterMs: 100 })).state
    await call(daemon.socket, 'Wait', { for: 'generation', from: generation })
    const late = await resume({ restoreId: 'late' })
    expect(late).toMatchObject({ restored: true, state: { generation: generation + 1 } })
    expect(late.state.evidence.map(({ source }) => source)).toEqual(['daemon', 'host'])
    // What it says after that is of another.
    expect((await resume({ restored: true })).state.generation).toBe(generation + 2)
  })

  it.each([
    ['a reason that is too long', { reason: 'x'.repeat(201) }, 'reason'],
    ['no time', { deadlineMs: 0 }, 'deadlineMs'],
    ['more time than there is', { thawAfterMs: 600_001 }, 'thawAfterMs'],
  ])('is refused with %s', async (_, parameters, parameter) => {
    expect(await refusal(quiesce(parameters))).toEqual({
      name: 'org.varlink.service.InvalidParameter',
      parameters: { parameter },
    })
  })

  it.each([
    ['a seed that is no bytes', { seed: 'xy' }, 'seed'],
    ['a seed that is too long', { seed: 'ab'.repeat(513) }, 'seed'],
    ['a name without letters', { restoreId: '' }, 'restoreId'],
    ['a name for the original', { restored: false, restoreId: 'r' }, 'restoreId'],
  ])('is not ended with %s', async (_, parameters, parameter) => {
    expect((await refusal(resume(parameters))).parameters).toEqual({ parameter })
  })

  it('has every step in the log, with its time, and who answered what', async () => {
    await using watcher = await TestWatcher.join(daemon.socket, {
      name: 'w',
      tracked: true,
      beforeSnapshot: true,
      stage: 'network',
    })
    const quiesced = quiesce()
    await prepare(watcher, (await watcher.until('quiesce')).state.quiesce?.quiesce ?? 0)
    await quiesced
    await resume({ restored: true })
    const { state } = await watcher.until('generation')
    await watcher.confirm(state.generation)
    const { entries } = await call(daemon.socket, 'GetLog', {})
    const entry = entries.at(-1)
    expect(entry).toMatchObject({ outcome: 'ready', generation: state.generation, cause: 'host' })
    expect(entry?.steps.map(({ step }) => step)).toEqual([
      ...['quiesce-requested', 'watchers-prepared', 'memory-wiped', 'frozen', 'memory-wiped'],
      ...['restore-declared', 'memory-wiped', 'kernel-unique', 'memory-wiped', 'page-changed', 'thawed'],
      ...['told-identity', 'told-network', 'told-application', 'ready'],
    ])
    const times = entry?.steps.map(({ atUsec }) => atUsec) ?? []
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    expect(entry?.answers.map(({ name, answer }) => [name, answer])).toEqual([
      ['w', 'prepared'],
      ['w', 'confirmed'],
    ])
  })
})

const lack = lacking('cgroup2')

describe.skipIf(lack)(`the workload${lack ? ` (${lack})` : ''}`, () => {
  let cgroup: TestCgroup
  let loop: Loop
  let daemon: DaemonProcess

  beforeEach(async () => {
    cgroup = new TestCgroup()
    const group = cgroup.make('workload')
    loop = await cgroup.loop('workload')
    daemon = await startDaemon({ config: `[freeze]\nsettle = "50ms"\ngroups = ["${group}"]\n` })
  })
  afterEach(async () => {
    await daemon[Symbol.asyncDispose]()
    await cgroup[Symbol.asyncDispose]()
  })

  const quiesce = (parameters: Quiesced = {}) => call(daemon.socket, 'Quiesce', parameters)

  async function runs(): Promise<void> {
    const before = loop.steps()
    await eventually('the loop runs again', () => loop.steps() > before)
    expect(existsSync(join(daemon.runtimeDir, 'frozen'))).toBe(false)
  }

  it('stands still while the system is quiesced, and goes on when it is resumed', async () => {
    const { state } = await quiesce()
    expect(state.quiesce?.frozen).toEqual([`${cgroup.path}/workload`])
    const steps = loop.steps()
    expect((await call(daemon.socket, 'Resume', {})).restored).toBe(false)
    expect(loop.steps()).toBeGreaterThanOrEqual(steps)
    await runs()
  })

  it('is thawed in a new generation when the daemon ends', async () => {
    const { generation } = (await quiesce()).state
    expect((await daemon.stop()).code).toBe(0)
    await runs()
    expect(readFileSync(daemon.pagePath).readUInt32LE(0)).toBe(generation + 1)
  })

  it('is thawed in a new generation by the daemon that comes after one that was killed', async () => {
    const { generation } = (await quiesce()).state
    daemon.kill('SIGKILL')
    await daemon.ended()
    expect(cgroup.isFrozen('workload')).toBe(true)
    await daemon.restart()
    await runs()
    expect(await stateOf(daemon.socket)).toMatchObject({ generation: generation + 1, cause: 'ambiguous' })
  })

  it('is thawed in a new generation by a daemon whose configuration is wrong', async () => {
    const { generation } = (await quiesce()).state
    daemon.kill('SIGKILL')
    await daemon.ended()
    writeFileSync(daemon.configPath, 'nonsense = 1\n')
    await expect(daemon.restart()).rejects.toThrow('unknown key "nonsense"')
    await runs()
    expect(readFileSync(daemon.pagePath).readUInt32LE(0)).toBe(generation + 1)
  })

  it('is thawed by a daemon that cannot start at all, which says what that means', async () => {
    await quiesce()
    daemon.kill('SIGKILL')
    await daemon.ended()
    const { runtimeDir } = daemon
    const { code, log } = await runDaemon({ runtimeDir, env: { SNAPSAFE_NO_ADDON: '1' } })
    expect({ code, log }).toEqual({ code: 1, log: expect.stringContaining('without a new generation') })
    await runs()
  })

  it('is left alone by a second daemon, and by a check of a configuration', async () => {
    await quiesce()
    const wrong = { runtimeDir: daemon.runtimeDir, config: 'nonsense = 1\n' }
    expect((await runDaemon(wrong)).log).toContain('another snapsafed')
    expect((await runDaemon({ ...wrong, args: ['--check-config'] })).code).toBe(78)
    const broken = { runtimeDir: daemon.runtimeDir, env: { SNAPSAFE_NO_ADDON: '1' } }
    expect((await runDaemon(broken)).code).toBe(1)
    expect(cgroup.isFrozen('workload')).toBe(true)
    expect((await stateOf(daemon.socket)).phase).toBe('quiesced')
  })

  it('goes on when the caller of Quiesce goes away before the answer', async () => {
    await using _ = await TestWatcher.join(daemon.socket, { name: 'sleeper', beforeSnapshot: true })
    const { connectToDaemon } = await import('snapsafe/protocol')
    const client = await connectToDaemon(daemon.socket, {})
    const quiesced = client.call('Quiesce', {})
    quiesced.catch(() => undefined)
    await eventually('it is asked', async () => (await stateOf(daemon.socket)).quiesce?.asking === 'sleeper')
    await client.close()
    await eventually('it is undone', async () => (await stateOf(daemon.socket)).phase === 'running')
    await runs()
  })

  it('is frozen in groups that are there, and what is not is named', async () => {
    writeFileSync(
      daemon.configPath,
      `[sources]\nkmsg = "off"\n[freeze]\ngroups = ["${cgroup.path}/workload", "${cgroup.path}/nobody"]\n`,
    )
    await daemon.restart()
    const { state } = await quiesce()
    expect(state.quiesce?.frozen).toEqual([`${cgroup.path}/workload`])
    expect(state.quiesce?.running).toMatchObject([{ group: `${cgroup.path}/nobody` }])
  })
})
