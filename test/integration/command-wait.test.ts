import type { Methods, Progress, ServerCall, State } from 'snapsafe/protocol'
import { describe, expect, it } from 'vitest'
import { answeringDaemon, generationError } from '../support/answering-daemon.ts'
import { CommandProcess, snapsafe } from '../support/command-process.ts'
import { startDaemon } from '../support/daemon-process.ts'
import { eventually } from '../support/eventually.ts'
import { lacking } from '../support/needs.ts'
import { onTerminal, screenOf } from '../support/pty.ts'
import { bump, TestWatcher } from '../support/test-watcher.ts'
import { aState, aWatcher } from '../support/values.ts'

const lackPython = lacking('python3')
/** What a person's shell has; the test's own environment may be a build's. */
const shell = { TERM: 'xterm', CI: '' }

type WaitCall = ServerCall<Methods['Wait']['parameters'], Methods['Wait']['reply']>

const adjusting = aState({ generation: 4, phase: 'adjusting', stage: 'network', trackedWatchers: 3 })
const ready = aState({ generation: 4, trackedWatchers: 3 })
const waitedFor = ['slow', 'slower'].map((name) => aWatcher({ name, stage: 'network', sinceUsec: 0 }))

/** A daemon that gives one wait to the test, which answers it. */
async function waitingDaemon() {
  const calls: WaitCall[] = []
  const ends: (() => void)[] = []
  const daemon = await answeringDaemon({
    Wait: async (call) => {
      calls.push(call)
      await new Promise<void>((resolve) => {
        ends.push(resolve)
        call.signal.addEventListener('abort', () => resolve())
      })
    },
  })
  const call = () => eventually('the command waits', () => calls[0])
  return {
    daemon,
    [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
    tell: async (state: State, progress: Progress) => (await call()).replyContinues({ state, progress }),
    end: async (state: State) => {
      ;(await call()).reply({ state, progress: { confirmed: 3, of: 3, slowest: [] } })
      for (const end of ends) end()
    },
    gone: async () => (await call()).signal.aborted,
  }
}

describe.skipIf(lackPython)(`wait on a terminal${lackPython ? ` (${lackPython})` : ''}`, () => {
  it('shows a table of those that are waited for, in place, and the end of it', async () => {
    await using service = await waitingDaemon()
    const launcher = onTerminal(80, 24)
    await using wait = new CommandProcess(service.daemon, ['wait'], {}, { env: shell, launcher })
    await service.tell(adjusting, { confirmed: 1, of: 3, slowest: waitedFor })
    await eventually('both are shown', () => screenOf(wait.stderr).length === 5)
    const [head, columns, ...rows] = screenOf(wait.stderr)
    expect(head).toMatch(/^generation 4, adjusting \(stage network\), 1 of 3 adjusted, \d+\.\d s$/)
    expect(columns).toMatch(/^NAME {4}PID {2}USER {2}STAGE {4}WAITED +DUE IN$/)
    expect(rows.map((row) => row.split(' ')[0])).toEqual(['slow', 'slower', ''])
    await service.tell(adjusting, { confirmed: 2, of: 3, slowest: waitedFor.slice(1) })
    await eventually('one is left', () => screenOf(wait.stderr).length === 4)
    expect(screenOf(wait.stderr)[0]).toContain('2 of 3 adjusted')
    await service.end(ready)
    const { code, stdout, stderr } = await wait.ended
    expect(screenOf(stderr)).toEqual(['generation 4, running (ready), 3 of 3 adjusted', ''])
    expect(stdout).toBe('generation 4, running (ready), clone, 3 of 3 watchers adjusted\n')
    expect(code).toBe(0)
  })

  it('goes on telling the time while nothing changes', async () => {
    await using service = await waitingDaemon()
    const launcher = onTerminal(80, 24)
    await using wait = new CommandProcess(service.daemon, ['wait'], {}, { env: shell, launcher })
    await service.tell(adjusting, { confirmed: 1, of: 3, slowest: waitedFor })
    const first = await eventually('it is drawn', () => screenOf(wait.stderr).length === 5 && wait.stderr)
    await eventually('it is drawn again', () => wait.stderr.length >= 2 * first.length)
    expect(screenOf(wait.stderr)).toHaveLength(5)
    expect(screenOf(wait.stderr)[0]).not.toBe(screenOf(first)[0])
  })

  it('is cut to the width of the terminal', async () => {
    await using service = await waitingDaemon()
    const launcher = onTerminal(30, 24)
    await using wait = new CommandProcess(service.daemon, ['wait'], {}, { env: shell, launcher })
    await service.tell(adjusting, { confirmed: 1, of: 3, slowest: waitedFor })
    await eventually('it is drawn', () => screenOf(wait.stderr).length === 5)
    expect(screenOf(wait.stderr).map((line) => line.length)).toEqual([30, 30, 30, 30, 0])
    expect(screenOf(wait.stderr)[0]).toBe('generation 4, adjusting (stag…')
  })

  it('is ended by Ctrl-C with the cursor below and no mode left on', async () => {
    await using service = await waitingDaemon()
    const launcher = onTerminal(80, 24)
    await using wait = new CommandProcess(service.daemon, ['wait'], {}, { env: shell, launcher })
    await service.tell(adjusting, { confirmed: 1, of: 3, slowest: waitedFor })
    await eventually('it is drawn', () => screenOf(wait.stderr).length === 5)
    wait.type('\x03')
    const { code, stdout, stderr } = await wait.ended
    // 128 and SIGINT, as a shell says it.
    expect({ code, stdout }).toEqual({ code: 130, stdout: '' })
    expect(screenOf(stderr).slice(4)).toEqual(['^C'])
    expect(stderr.lastIndexOf('\u001b[?7h')).toBeGreaterThan(stderr.lastIndexOf('\u001b[?7l'))
    await eventually('the daemon knows', () => service.gone())
  })

  it.each([
    ['with --json', ['--json'], shell],
    ['where it is dumb', [], { ...shell, TERM: 'dumb' }],
    ['in a build', [], { ...shell, CI: 'true' }],
  ])('prints lines %s', async (_, args, env) => {
    await using service = await waitingDaemon()
    const launcher = onTerminal(80, 24)
    await using wait = new CommandProcess(service.daemon, ['wait', ...args], {}, { env, launcher })
    await service.tell(adjusting, { confirmed: 1, of: 3, slowest: waitedFor })
    await service.end(ready)
    expect((await wait.ended).stderr).toBe(
      'generation 4, adjusting (stage network), 1 of 3 adjusted; slowest: slow (pid 12)\r\n',
    )
  })
})

describe('wait off a terminal', () => {
  it('prints a line for each change, and none twice', async () => {
    await using service = await waitingDaemon()
    await using wait = new CommandProcess(service.daemon, ['wait'])
    await service.tell(adjusting, { confirmed: 1, of: 3, slowest: waitedFor })
    await service.tell(adjusting, { confirmed: 1, of: 3, slowest: waitedFor })
    await service.tell(adjusting, { confirmed: 2, of: 3, slowest: waitedFor.slice(1) })
    await service.end(ready)
    const { code, stdout, stderr } = await wait.ended
    expect(stderr.split('\n')).toEqual([
      'generation 4, adjusting (stage network), 1 of 3 adjusted; slowest: slow (pid 12)',
      'generation 4, adjusting (stage network), 2 of 3 adjusted; slowest: slower (pid 12)',
      '',
    ])
    expect(stdout).toBe('generation 4, running (ready), clone, 3 of 3 watchers adjusted\n')
    expect(code).toBe(0)
  })

  it('names those that owe when the time is over, the longest first, and counts the others', async () => {
    const owing = [3, 1, 2, 4, 5, 6].map((sinceUsec) =>
      aWatcher({ name: `of ${sinceUsec}`, owing: 'pending', sinceUsec }),
    )
    const state = aState({ ...adjusting, trackedWatchers: 9, outdatedWatchers: 8 })
    await using service = await answeringDaemon({
      Wait: async () => {
        throw generationError('TimedOut', { state })
      },
      GetState: async (call) => call.reply({ state }),
      ListWatchers: async (call) => call.reply({ watchers: [aWatcher({ name: 'adjusted' }), ...owing] }),
    })
    const { code, stderr } = await snapsafe(service, ['wait', '--timeout', '50ms'])
    expect(stderr.split('\n')).toEqual([
      'snapsafe: not ready within 50 ms; at the end: generation 4, adjusting (stage network), clone, 1 of 9 watchers adjusted',
      ...[1, 2, 3, 4, 5].map((since) => `  not adjusted: of ${since} (pid 12, user 0, pending)`),
      '  not adjusted: 3 more watchers',
      '',
    ])
    expect(code).toBe(124)
  })
})

describe('wait with a real daemon', () => {
  it('tells at once whom it waits for', async () => {
    await using daemon = await startDaemon()
    await using slow = await TestWatcher.join(daemon.socket, { name: 'the slow one', tracked: true })
    const { generation } = await bump(daemon.socket)
    await using wait = new CommandProcess(daemon, ['wait'])
    await eventually('it is named', () => wait.stderr.includes('\n'))
    expect(wait.stderr).toBe(
      `generation 1, adjusting (stage application), 0 of 1 adjusted; slowest: the slow one (pid ${process.pid})\n`,
    )
    await slow.confirm(generation)
    expect((await wait.ended).code).toBe(0)
  })

  it('names whom it waits for when the time is over', async () => {
    await using daemon = await startDaemon()
    await using _ = await TestWatcher.join(daemon.socket, { name: 'the slow one', tracked: true })
    await bump(daemon.socket)
    const { code, stderr } = await snapsafe(daemon, ['wait', '--timeout', '50ms'])
    expect(stderr).toContain(
      `\n  not adjusted: the slow one (pid ${process.pid}, user ${process.getuid?.()}, pending)\n`,
    )
    expect(code).toBe(124)
  })

  it('--for generation leaves the one that is current when it begins', async () => {
    await using daemon = await startDaemon()
    await using wait = new CommandProcess(daemon, ['wait', '--for', 'generation', '--json'])
    await eventually('the command ends', async () => {
      await bump(daemon.socket)
      return wait.lines.length > 0
    })
    const { code, stdout } = await wait.ended
    expect(JSON.parse(stdout).generation).toBeGreaterThan(0)
    expect(code).toBe(0)
  })
})
