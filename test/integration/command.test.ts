import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generationInterface, ServerConnection, socketPath } from 'snapsafe/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CommandProcess, snapsafe } from '../support/command-process.ts'
import { type DaemonProcess, startDaemon } from '../support/daemon-process.ts'
import { bump, stateOf, TestWatcher } from '../support/test-watcher.ts'

let daemon: DaemonProcess
beforeAll(async () => {
  daemon = await startDaemon()
})
afterAll(() => daemon[Symbol.asyncDispose]())

const firstWord = (): number => readFileSync(daemon.pagePath).readUInt32LE(0)

describe('snapsafe', () => {
  it('bump makes the first four bytes of the page grow by one', async () => {
    const before = firstWord()
    const { code } = await snapsafe(daemon, ['bump', '--reason', 'test'])
    expect(code).toBe(0)
    expect(firstWord()).toBe(before + 1)
  })

  it('bump --minimum goes on from there', async () => {
    const minimum = firstWord() + 10
    const { code } = await snapsafe(daemon, ['bump', '--minimum', `${minimum}`])
    expect(code).toBe(0)
    expect(firstWord()).toBe(minimum)
    await snapsafe(daemon, ['bump', '--minimum', '1'])
    expect(firstWord()).toBe(minimum + 1)
  })

  it('status --json says what the daemon knows', async () => {
    await bump(daemon.socket, 'a reason')
    const { code, stdout } = await snapsafe(daemon, ['status', '--json'])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toEqual({
      generation: firstWord(),
      generationId: readFileSync(daemon.pagePath).toString('hex', 0x10, 0x20),
      phase: 'running',
      cause: 'command',
      reason: 'a reason',
      evidence: [
        {
          source: 'command',
          detail: expect.stringContaining(`process ${process.pid} of user`),
          atUsec: expect.any(Number),
        },
      ],
      kernelRandom: 'off',
      changedAtUsec: expect.any(Number),
      readyAtUsec: expect.any(Number),
      trackedWatchers: 0,
      outdatedWatchers: 0,
      degraded: false,
      missed: [],
      summary: expect.stringContaining('running (ready)'),
    })
  })

  it('watch prints each event as it comes', async () => {
    await using watch = new CommandProcess(daemon, ['watch', '--json'])
    const [first = ''] = await watch.printed(1)
    expect(JSON.parse(first)).toMatchObject({ event: 'registered', state: { generation: firstWord() } })
    await bump(daemon.socket)
    await bump(daemon.socket)
    const lines = await watch.printed(5)
    const generation = firstWord()
    expect(
      lines.map((line) => JSON.parse(line)).map(({ event, state }) => [event, state.generation]),
    ).toEqual([
      ['registered', generation - 2],
      ['generation', generation - 1],
      ['ready', generation - 1],
      ['generation', generation],
      ['ready', generation],
    ])
  })

  it('watch --once ends with 0 after the first new generation', async () => {
    await using watch = new CommandProcess(daemon, ['watch', '--once', '--name', 'only once'])
    await watch.printed(1)
    await bump(daemon.socket)
    const { code, stdout } = await watch.ended
    expect(code).toBe(0)
    expect(stdout).toMatch(new RegExp(`^registered: .*\\ngeneration: generation ${firstWord()}, .*\\n$`))
  })

  it('watchers lists those that are there, by name', async () => {
    await using _ = await TestWatcher.join(daemon.socket, {
      name: 'a listed one',
      tracked: true,
      deadlineMs: 1234,
      stage: 'network',
      beforeSnapshot: true,
    })
    const { code, stdout } = await snapsafe(daemon, ['watchers', '--json'])
    expect(code).toBe(0)
    expect(JSON.parse(stdout).watchers).toContainEqual({
      watcher: expect.stringMatching(/^\d+$/),
      name: 'a listed one',
      pid: process.pid,
      uid: process.getuid?.(),
      tracked: true,
      deadlineMs: 1234,
      adjustedTo: firstWord(),
      owing: 'no',
      stage: 'network',
      beforeSnapshot: true,
      absent: false,
    })
    expect((await snapsafe(daemon, ['watchers'])).stdout).toMatch(
      /^WATCHER +NAME.*\n.*a listed one +\d+ +\d+ +network +yes +yes +1234 ms +\d+ +- +no$/m,
    )
  })

  it('wait --for generation --from an old one returns at once', async () => {
    const { code, stdout } = await snapsafe(daemon, [
      ...['wait', '--for', 'generation', '--from', `${firstWord() - 1}`, '--json'],
    ])
    expect(code).toBe(0)
    expect(JSON.parse(stdout).generation).toBe(firstWord())
  })
})

describe('the exit status of snapsafe is', () => {
  it('0 for wait when the guest is ready', async () => {
    expect((await snapsafe(daemon, ['wait', '--timeout', '5s'])).code).toBe(0)
  })

  it('1 where the daemon goes away while it is watched', async () => {
    await using other = await startDaemon()
    await using watch = new CommandProcess(other, ['watch'])
    await watch.printed(1)
    await other.stop()
    const { code, stderr } = await watch.ended
    expect(stderr).toMatch(/^snapsafe: the connection is closed: the daemon ended, .*\n$/)
    expect(code).toBe(1)
  })

  it.concurrent.each([
    ['no command', []],
    ['an unknown command', ['frobnicate']],
    ['an unknown option', ['status', '--frobnicate']],
    ['a duration without a unit', ['wait', '--timeout', '5']],
    ['a timeout that the daemon does not take', ['wait', '--for', 'generation', '--timeout', '2d']],
    ['a generation that is none', ['bump', '--minimum', '-1']],
    ['a generation that the daemon does not take', ['bump', '--minimum', `${2 ** 31}`]],
    ['a choice that is none', ['wait', '--for', 'godot']],
    ['a number of entries that is none', ['log', '--last', '0']],
    ['an original that was restored', ['resume', '--same', '--restored']],
    ['a name with control characters', ['watch', '--name', 'a\u001b[31mb']],
  ])('2 for %s', async (_, args) => {
    const { code, stdout, stderr } = await snapsafe(daemon, args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).not.toBe('')
  })

  it('3 for wait when a watcher has missed its deadline, and 0 with --accept-degraded', async () => {
    await using _ = await TestWatcher.join(daemon.socket, { name: 'too slow', tracked: true, deadlineMs: 50 })
    await bump(daemon.socket)
    const wait = await snapsafe(daemon, ['wait', '--json'])
    expect(wait.code).toBe(3)
    expect(wait.stderr).toContain(
      `too slow (pid ${process.pid}, user ${process.getuid?.()}, missed its deadline)`,
    )
    expect(JSON.parse(wait.stdout)).toMatchObject({
      degraded: true,
      missed: [{ name: 'too slow', owing: 'deadline' }],
    })
    expect((await snapsafe(daemon, ['wait', '--accept-degraded'])).code).toBe(0)
    expect((await snapsafe(daemon, ['status'])).stdout).toContain('running (ready, degraded)')
  })

  it('5 where the daemon is too old to know the method', async () => {
    await using old = await daemonWithoutMethods()
    const { code, stderr } = await snapsafe(old, ['status'])
    expect(stderr).toContain('the daemon is older than this command')
    expect(code).toBe(5)
  })

  it('7 where no daemon runs', async () => {
    const { code, stdout, stderr } = await snapsafe({ runtimeDir: '/nonexistent' }, ['status', '--json'])
    expect({ code, stdout }).toEqual({ code: 7, stdout: '' })
    expect(stderr).toContain('no daemon answers on /nonexistent/io.snapsafe.Generation (ENOENT)')
  })

  it('7 where a daemon was killed and left its socket', async () => {
    await using other = await startDaemon()
    other.kill('SIGKILL')
    await other.ended()
    const { code, stderr } = await snapsafe(other, ['bump'])
    expect(stderr).toContain('ECONNREFUSED')
    expect(code).toBe(7)
  })

  it.each([
    [['bump', '--reason', 'r'.repeat(201)], '--reason is longer than 200 characters'],
    [['bump', '--minimum', `${2 ** 31}`], '--minimum is over 2147483647'],
    [['quiesce', '--deadline', '0s'], '--deadline is not over 0'],
    [
      ['quiesce', '--thaw-after', '11m'],
      '--thaw-after is longer than freeze.max_thaw_after in snapsafed.toml allows, or not over 0',
    ],
    [
      ['resume', '--restore-id', 'i'.repeat(129)],
      '--restore-id is empty, longer than 128 characters, or has control characters in it',
    ],
    [['wait', '--for', 'generation', '--timeout', '2d'], '--timeout is longer than a day'],
    [
      ['watch', '--name', 'a\tb'],
      '--name is empty, longer than 128 characters, or has control characters in it',
    ],
  ])('2 where the daemon does not take what an option says: %j', async (args, message) => {
    const { code, stderr } = await snapsafe(daemon, args)
    expect({ code, stderr }).toEqual({ code: 2, stderr: `snapsafe: ${message}\n` })
  })

  it('124 for wait when the time is over, with how far it got', async () => {
    await using other = await startDaemon()
    await using _ = await TestWatcher.join(other.socket, { name: 'busy', tracked: true })
    await bump(other.socket)
    const { code, stdout, stderr } = await snapsafe(other, ['wait', '--timeout', '50ms', '--json'])
    expect({ code, stdout }).toEqual({ code: 124, stdout: '' })
    expect(stderr).toContain('not ready within 50 ms')
    expect((await stateOf(other.socket)).phase).toBe('adjusting')
  })
})

/** A service whose interface is of a time before any of today's methods. */
async function daemonWithoutMethods(): Promise<{ runtimeDir: string } & AsyncDisposable> {
  const runtimeDir = mkdtempSync(join(tmpdir(), 'snapsafe-old-'))
  const server = createServer((socket) => {
    new ServerConnection(socket, {
      interfaces: [{ ...generationInterface(), methods: new Map() }],
      service: { vendor: 'snapsafe', product: 'snapsafed', version: '0.0.0', url: '' },
      dispatch: () => Promise.resolve(),
      internalErrorName: 'io.snapsafe.Generation.Internal',
      onInternalError: () => undefined,
    })
  })
  await new Promise<void>((resolve) => server.listen(socketPath(runtimeDir), resolve))
  return {
    runtimeDir,
    [Symbol.asyncDispose]: async () => {
      await new Promise((resolve) => server.close(resolve))
      rmSync(runtimeDir, { recursive: true })
    },
  }
}
