import { describe, expect, it } from 'vitest'
import { runDaemon, startDaemon } from '../support/daemon-process.ts'
import { call, TestWatcher } from '../support/test-watcher.ts'

describe.concurrent('a configuration that cannot be used ends the start with 78, and the log says', () => {
  it.each([
    [
      'the key and the line of a typo',
      '# comment\n[watchers]\ndeadlin = "5s"\n',
      ':3: unknown key "watchers.deadlin"; known here: deadline, max_deadline, wait_for, max_per_user',
    ],
    [
      'the table of a typo',
      '[watcher]\ndeadline = "5s"\n',
      ':1: unknown key "watcher"; known here: daemon, watchers, sources, kernel_random',
    ],
    [
      'what a duration looks like',
      '[watchers]\ndeadline = "5 seconds"\n',
      ':2: watchers.deadline: "5 seconds" is not a number with a unit',
    ],
    ['which types do not fit', '[watchers]\nmax_per_user = "many"\n', ':2: watchers.max_per_user: '],
    [
      'which number would leave no connection for others than root',
      '[daemon]\nmax_connections = 20\n',
      ':2: daemon.max_connections: ',
    ],
    [
      'which values do not fit together',
      '[watchers]\ndeadline = "2m"\nmax_deadline = "1m"\n',
      ':2: watchers.deadline: deadline is longer than max_deadline',
    ],
    ['where the TOML ends to be TOML', '[watchers]\ndeadline = \n', ':2: '],
    ['which key is there twice', '[watchers]\ndeadline = "1s"\ndeadline = "2s"\n', ':3: '],
  ])('%s', async (_, config, message) => {
    for (const args of [[], ['--check-config']]) {
      const { code, log } = await runDaemon({ config, args })
      expect(log).toContain(`snapsafed.toml${message}`)
      expect(log).toMatch(/^snapsafed: error: [^\n]*\n$/)
      expect(code).toBe(78)
    }
  })

  it('that the file which was named is missing', async () => {
    const { code, log } = await runDaemon({ args: ['--config', '/nonexistent/snapsafed.toml'] })
    expect(log).toMatch(
      /^snapsafed: error: cannot read the configuration \/nonexistent\/snapsafed.toml: ENOENT/,
    )
    expect(code).toBe(78)
  })
})

describe('--check-config', () => {
  it('ends with 0 and says nothing where all is well, and starts nothing', async () => {
    const runtimeDir = '/nonexistent/snapsafe'
    expect(await runDaemon({ runtimeDir, args: ['--check-config'] })).toEqual({
      code: 0,
      signal: null,
      log: '',
    })
  })
})

describe('a wrong command line', () => {
  it('ends with 2', async () => {
    const { code, log } = await runDaemon({ args: ['--runtime-dri', '/tmp'] })
    expect(log).toContain("unknown option '--runtime-dri'")
    expect(code).toBe(2)
  })
})

describe('watchers.deadline and watchers.max_deadline', () => {
  it('are what a watcher gets that asks for none, and the most that it gets', async () => {
    await using daemon = await startDaemon({ config: '[watchers]\ndeadline = "1500ms"\nmax_deadline = "2s"' })
    await using usual = await TestWatcher.join(daemon.socket, { name: 'usual', tracked: true })
    await using greedy = await TestWatcher.join(daemon.socket, {
      name: 'greedy',
      tracked: true,
      deadlineMs: 1e9,
    })
    const { watchers } = await call(daemon.socket, 'ListWatchers', {})
    const deadlineOf = (id: string) => watchers.find(({ watcher }) => watcher === id)?.deadlineMs
    expect(deadlineOf(usual.id)).toBe(1500)
    expect(deadlineOf(greedy.id)).toBe(2000)
  })
})
