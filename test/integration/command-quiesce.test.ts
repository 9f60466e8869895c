import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Methods } from 'snapsafe/protocol'
import { describe, expect, it } from 'vitest'
import { type AnsweringDaemon, answeringDaemon, generationError } from '../support/answering-daemon.ts'
import { CommandProcess, snapsafe } from '../support/command-process.ts'
import { startDaemon } from '../support/daemon-process.ts'
import { eventually } from '../support/eventually.ts'
import { bump, call, stateOf, TestWatcher } from '../support/test-watcher.ts'
import { aPlannedSnapshot, aState } from '../support/values.ts'

const planned = aPlannedSnapshot({
  quiesce: 7,
  prepared: 2,
  of: 2,
  frozen: ['/user.slice', '/system.slice/db.service'],
  running: [{ group: '/init.scope', why: 'it holds the first process' }],
  thawAtUsec: Number.MAX_SAFE_INTEGER,
})
const quiesced = aState({ phase: 'quiesced', quiesce: planned })

/** A daemon that is quiesced at once, and keeps what it was asked. */
async function quiescing(
  state = quiesced,
): Promise<AnsweringDaemon & { readonly asked: Methods['Quiesce']['parameters'][] }> {
  const asked: Methods['Quiesce']['parameters'][] = []
  const daemon = await answeringDaemon({
    Quiesce: async (call) => {
      asked.push(call.parameters)
      call.reply({ state })
    },
  })
  return { ...daemon, asked }
}

/** A daemon that goes on as it is told, and keeps what it was asked. */
async function resuming(
  reply: Methods['Resume']['reply'],
  before = quiesced,
): Promise<AnsweringDaemon & { readonly asked: Methods['Resume']['parameters'][] }> {
  const asked: Methods['Resume']['parameters'][] = []
  const daemon = await answeringDaemon({
    GetState: async (call) => call.reply({ state: before }),
    Resume: async (call) => {
      asked.push(call.parameters)
      call.reply(reply)
    },
  })
  return { ...daemon, asked }
}

describe('quiesce', () => {
  it('prints the state and a summary as JSON', async () => {
    await using daemon = await quiescing()
    const { code, stdout, stderr } = await snapsafe(daemon, ['quiesce', '--json'])
    expect(JSON.parse(stdout)).toEqual({
      ...quiesced,
      summary: 'generation 3, quiesced (2 cgroups frozen), clone, 0 of 0 watchers adjusted',
    })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(daemon.asked).toEqual([{}])
  })

  it('tells people what is frozen, what is not and why, and when it is thawed', async () => {
    await using daemon = await quiescing()
    const { stdout } = await snapsafe(daemon, ['quiesce'])
    expect(stdout.split('\n')).toEqual([
      'quiesced: take the snapshot now, then let it go on: snapsafe resume',
      'snapshot  number 7',
      'prepared  2 of 2 watchers',
      'frozen    /user.slice',
      'frozen    /system.slice/db.service',
      'goes on   /init.scope: it holds the first process',
      expect.stringMatching(/^thawed {4}in \d+\.\d s, in a new generation, if nobody resumes before$/),
      '',
    ])
  })

  it('warns where nothing is frozen', async () => {
    await using daemon = await quiescing(aState({ phase: 'quiesced', quiesce: { ...planned, frozen: [] } }))
    const { code, stderr } = await snapsafe(daemon, ['quiesce', '--json'])
    expect(stderr).toMatch(/^snapsafe: warning: nothing is frozen: [^\n]*\n$/)
    expect(code).toBe(0)
  })

  it('asks for what the command line says', async () => {
    await using daemon = await quiescing()
    const line = ['quiesce', '--deadline', '2s', '--thaw-after', '1m', '--reason', 'nightly', '--force']
    await snapsafe(daemon, line)
    expect(daemon.asked).toEqual([{ deadlineMs: 2000, thawAfterMs: 60_000, reason: 'nightly', force: true }])
  })

  it.each([
    [
      3,
      'Vetoed',
      { name: 'db', pid: 12, reason: 'a backup runs' },
      'db (pid 12) does not want the snapshot: a backup runs; everything goes on as before',
    ],
    [
      1,
      'QuiesceFailed',
      { reason: 'cannot freeze /a' },
      'the system could not be quiesced: cannot freeze /a; everything goes on as before',
    ],
    [3, 'WrongPhase', { phase: 'adjusting' }, 'the guest is adjusting; wait for ready first: snapsafe wait'],
  ])('ends with %i at %s', async (code, name, parameters, message) => {
    await using daemon = await answeringDaemon({
      Quiesce: async () => {
        throw generationError(name, parameters)
      },
    })
    const ended = await snapsafe(daemon, ['quiesce', '--json'])
    expect(ended).toEqual({ code, stdout: '', stderr: `snapsafe: ${message}\n` })
  })

  it.each(['SIGINT', 'SIGTERM'] as const)('that is ended by %s closes its connection', async (signal) => {
    let gone = false
    let asked = false
    await using daemon = await answeringDaemon({
      Quiesce: async (call) => {
        asked = true
        await new Promise<void>((resolve) => call.signal.addEventListener('abort', () => resolve()))
        gone = true
      },
    })
    await using quiesce = new CommandProcess(daemon, ['quiesce'])
    await eventually('it is asked for', () => asked)
    quiesce.kill(signal)
    await eventually('the daemon knows', () => gone)
    expect((await quiesce.ended).stdout).toBe('')
  })
})

describe('resume', () => {
  const thawed = { restored: false, state: aState() }
  const copy = { restored: true, state: aState({ generation: 4, phase: 'adjusting', cause: 'host' }) }

  it('prints whether this is a copy, and the state, as JSON', async () => {
    await using daemon = await resuming(copy)
    const { code, stdout } = await snapsafe(daemon, ['resume', '--json'])
    expect(JSON.parse(stdout)).toEqual(copy)
    expect(code).toBe(0)
    expect(daemon.asked).toEqual([{}])
  })

  it('tells people which one this is', async () => {
    await using original = await resuming(thawed)
    expect((await snapsafe(original, ['resume'])).stdout).toBe('thawed; this is the original, generation 3\n')
    await using restored = await resuming(copy)
    expect((await snapsafe(restored, ['resume'])).stdout).toBe(
      'restored: generation 4, adjusting, host, 0 of 0 watchers adjusted\n',
    )
    await using untouched = await resuming(thawed, aState())
    expect((await snapsafe(untouched, ['resume'])).stdout).toBe(
      'nothing was quiesced; this is the original, generation 3\n',
    )
  })

  it.each([
    [['--restored'], { restored: true }],
    [['--same'], { restored: false }],
    [['--restore-id', 'clone 7'], { restoreId: 'clone 7' }],
    [['--restored', '--restore-id', 'clone 7'], { restored: true, restoreId: 'clone 7' }],
  ])('%j asks for %j', async (args, parameters) => {
    await using daemon = await resuming(copy)
    expect((await snapsafe(daemon, ['resume', ...args])).code).toBe(0)
    expect(daemon.asked).toEqual([parameters])
  })

  it.each([
    [['--same', '--restored']],
    [['--same', '--restore-id', 'clone 7']],
    [['--seed-file', '/dev/null']],
    [['--seed-file', '/dev/zero']],
  ])('%j is a usage error', async (args) => {
    await using daemon = await resuming(copy)
    const { code, stdout } = await snapsafe(daemon, ['resume', ...args])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(daemon.asked).toEqual([])
  })

  it('hands on a seed from a file or from standard input, and never shows it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'snapsafe-seed-'))
    try {
      await using daemon = await resuming(copy)
      const seed = randomBytes(64)
      const path = join(folder, 'seed')
      writeFileSync(path, seed)
      const fromFile = await snapsafe(daemon, ['resume', '--json', '--seed-file', path])
      await using fromInput = new CommandProcess(daemon, ['resume', '--json', '--seed-file', '-'])
      fromInput.type(seed.subarray(0, 10))
      fromInput.type(seed.subarray(10))
      fromInput.endInput()
      for (const { code, stdout, stderr } of [fromFile, await fromInput.ended]) {
        expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
        expect(stdout).not.toContain(seed.toString('hex').slice(0, 16))
      }
      expect(daemon.asked).toEqual([{ seed: seed.toString('hex') }, { seed: seed.toString('hex') }])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('quiesce and resume with a real daemon', () => {
  it('quiesce, and resume of the original, which goes on in its generation', async () => {
    await using daemon = await startDaemon()
    const quiesce = await snapsafe(daemon, ['quiesce', '--json', '--reason', 'nightly'])
    expect(quiesce.stderr).toMatch(/^snapsafe: warning: nothing is frozen: /)
    expect(JSON.parse(quiesce.stdout)).toMatchObject({
      generation: 0,
      phase: 'quiesced',
      quiesce: { reason: 'nightly', frozen: [] },
    })
    expect(quiesce.code).toBe(0)
    expect((await snapsafe(daemon, ['status'])).stdout).toMatch(/^phase +quiesced \(0 cgroups frozen\)\n/m)
    const again = await snapsafe(daemon, ['quiesce'])
    expect(again).toMatchObject({ code: 3, stderr: expect.stringContaining('snapsafe resume') })
    const { code, stdout } = await snapsafe(daemon, ['resume', '--same'])
    expect(stdout).toBe('thawed; this is the original, generation 0\n')
    expect(code).toBe(0)
    expect(await stateOf(daemon.socket)).toMatchObject({ generation: 0, phase: 'running' })
  })

  it('resume of a copy begins a generation, once for each restore id', async () => {
    await using daemon = await startDaemon()
    await snapsafe(daemon, ['quiesce'])
    const resume = ['resume', '--restore-id', 'clone 7', '--json']
    const first = JSON.parse((await snapsafe(daemon, resume)).stdout)
    expect(first).toMatchObject({ restored: true, state: { generation: 1, cause: 'host' } })
    await snapsafe(daemon, resume)
    expect((await stateOf(daemon.socket)).generation).toBe(1)
  })

  it('a veto is told with who and why, and undoes the quiesce', async () => {
    await using daemon = await startDaemon()
    await using watcher = await TestWatcher.join(daemon.socket, { name: 'backup', beforeSnapshot: true })
    await using quiesce = new CommandProcess(daemon, ['quiesce'])
    const { state } = await watcher.until('quiesce')
    const number = state.quiesce?.quiesce ?? -1
    const veto = { watcher: watcher.id, quiesce: number, veto: 'a backup runs' }
    await call(daemon.socket, 'ConfirmQuiesce', veto)
    const { code, stderr } = await quiesce.ended
    expect(stderr).toBe(
      `snapsafe: backup (pid ${process.pid}) does not want the snapshot: a backup runs; everything goes on as before\n`,
    )
    expect(code).toBe(3)
    expect((await stateOf(daemon.socket)).phase).toBe('running')
  })

  it('Ctrl-C while watchers prepare undoes the quiesce', async () => {
    await using daemon = await startDaemon()
    await using watcher = await TestWatcher.join(daemon.socket, { name: 'slow', beforeSnapshot: true })
    await using quiesce = new CommandProcess(daemon, ['quiesce'])
    await watcher.until('quiesce')
    expect((await snapsafe(daemon, ['status'])).stdout).toMatch(/^prepared +0 of 1 watchers, asking slow\n/m)
    quiesce.kill('SIGINT')
    await watcher.until('resumed')
    expect((await stateOf(daemon.socket)).phase).toBe('running')
  })

  it('quiesce while the guest adjusts says to wait', async () => {
    await using daemon = await startDaemon()
    await using _ = await TestWatcher.join(daemon.socket, { name: 'slow', tracked: true })
    await bump(daemon.socket)
    const { code, stderr } = await snapsafe(daemon, ['quiesce'])
    expect(stderr).toBe('snapsafe: the guest is adjusting; wait for ready first: snapsafe wait\n')
    expect(code).toBe(3)
  })
})
