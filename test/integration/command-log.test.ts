import type { LogEntry, Methods, ServerCall } from 'snapsafe/protocol'
import { describe, expect, it } from 'vitest'
import { answeringDaemon } from '../support/answering-daemon.ts'
import { CommandProcess, snapsafe } from '../support/command-process.ts'
import { startDaemon } from '../support/daemon-process.ts'
import { eventually } from '../support/eventually.ts'
import { bump, TestWatcher } from '../support/test-watcher.ts'
import { anEntry } from '../support/values.ts'

const steps = ['restore-declared', 'kernel-unique', 'page-changed', 'told-application', 'ready'].map(
  (step, index) => ({ step, atUsec: 1_000_000 + index * 1500 }),
)
/** The same restore as it goes on. */
const [declared, told, ended] = [1, 4, 5].map((count) => anEntry({ entry: 9, steps: steps.slice(0, count) }))
const ready = { ...ended, outcome: 'ready' } as LogEntry

type LogCall = ServerCall<Methods['GetLog']['parameters'], Methods['GetLog']['reply']>

/** A daemon that gives its log call to the test. */
async function loggingDaemon() {
  const calls: LogCall[] = []
  const daemon = await answeringDaemon({
    GetLog: async (call) => {
      calls.push(call)
      if (!call.more) return call.reply({ entries: [ready] })
      await new Promise<void>((resolve) => call.signal.addEventListener('abort', () => resolve()))
    },
  })
  const call = () => eventually('the log is asked for', () => calls[0])
  return {
    runtimeDir: daemon.runtimeDir,
    [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
    calls,
    tell: async (...entries: (LogEntry | undefined)[]) =>
      (await call()).replyContinues({ entries: entries.filter((entry) => entry !== undefined) }),
  }
}

describe('log', () => {
  it('prints one line of JSON with all entries', async () => {
    await using daemon = await loggingDaemon()
    const { code, stdout } = await snapsafe(daemon, ['log', '--last', '3', '--json'])
    expect(stdout).toBe(`${JSON.stringify({ entries: [ready] })}\n`)
    expect(code).toBe(0)
    expect(daemon.calls[0]?.parameters).toEqual({ last: 3 })
  })

  it('prints a block for each entry for people', async () => {
    await using daemon = await loggingDaemon()
    const { stdout } = await snapsafe(daemon, ['log'])
    expect(stdout).toMatch(/^entry 9: generation 3, clone, ready\n/)
    expect(stdout).toMatch(/^ {2}page-changed +3\.0 ms +\+1\.5 ms$/m)
    expect(daemon.calls[0]?.parameters).toEqual({})
  })

  it('--follow --json prints a line for each entry that is new or has changed', async () => {
    await using daemon = await loggingDaemon()
    await using log = new CommandProcess(daemon, ['log', '--follow', '--json'])
    await daemon.tell(anEntry({ entry: 8, outcome: 'resumed' }), declared)
    await daemon.tell(ready)
    const lines = (await log.printed(3)).map((line) => JSON.parse(line))
    expect(lines).toEqual([anEntry({ entry: 8, outcome: 'resumed' }), declared, ready])
  })

  it('--follow prints each step once when it comes, and the whole entry when it has ended', async () => {
    await using daemon = await loggingDaemon()
    await using log = new CommandProcess(daemon, ['log', '--follow'])
    for (const entry of [declared, told, told]) await daemon.tell(entry)
    await daemon.tell(ready)
    const lines = await log.printed(13)
    expect(lines.slice(0, 5)).toEqual([
      'entry 9: generation 3, clone, open: restore-declared at 0.0 ms',
      'entry 9: generation 3, clone, open: kernel-unique at 1.5 ms',
      'entry 9: generation 3, clone, open: page-changed at 3.0 ms',
      'entry 9: generation 3, clone, open: told-application at 4.5 ms',
      'entry 9: generation 3, clone, ready',
    ])
    expect(lines.at(-2)).toMatch(/^ {2}ready +6\.0 ms +\+1\.5 ms$/)
  })
})

describe('log with a real daemon', () => {
  it('says so where nothing has happened', async () => {
    await using daemon = await startDaemon()
    const { stdout } = await snapsafe(daemon, ['log'])
    expect(stdout).toBe('neither a restore nor a planned snapshot so far\n')
  })

  it('has the time of every step of a restore, and what each watcher answered', async () => {
    await using daemon = await startDaemon()
    await using watcher = await TestWatcher.join(daemon.socket, { name: 'db', tracked: true })
    const { generation } = await bump(daemon.socket, 'by hand')
    await watcher.confirm(generation)
    await watcher.until('ready')
    const { stdout } = await snapsafe(daemon, ['log', '--last', '1', '--json'])
    const { entries }: { entries: LogEntry[] } = JSON.parse(stdout)
    expect(entries).toMatchObject([
      { outcome: 'ready', generation, cause: 'command', reason: 'by hand', answersLeftOut: 0 },
    ])
    const names = entries[0]?.steps.map(({ step }) => step)
    expect(names).toEqual(expect.arrayContaining(steps.map(({ step }) => step)))
    const times = entries[0]?.steps.map(({ atUsec }) => atUsec) ?? []
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    expect(entries[0]?.answers).toMatchObject([{ name: 'db', pid: process.pid, answer: 'confirmed' }])
    expect((await snapsafe(daemon, ['log'])).stdout).toMatch(/^ {2}db .* confirmed +\d+\.\d ms$/m)
  })

  it('--follow goes on with the next restore', async () => {
    await using daemon = await startDaemon()
    await bump(daemon.socket)
    await using log = new CommandProcess(daemon, ['log', '--follow', '--json'])
    await log.printed(1)
    const { generation } = await bump(daemon.socket)
    await eventually('the next one has ended', () =>
      log.lines
        .map((line): LogEntry => JSON.parse(line))
        .some((entry) => entry.generation === generation && entry.outcome === 'ready'),
    )
  })
})
