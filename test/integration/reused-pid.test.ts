import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { interfaceName } from 'snapsafe/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { processStat } from '../../packages/guest/src/system/process-stat.ts'
import { before, type DaemonProcess, startDaemon } from '../support/daemon-process.ts'
import { lacking } from '../support/needs.ts'
import { bump, call, stateOf } from '../support/test-watcher.ts'

const program = join(import.meta.dirname, '../support/reused-pid.py')
const lack = lacking('root', 'python3') ?? lackingChoice()
const replyDeadlineMs = 15_000

/** What has the connection of a process that has ended, whose pid is another's, the victim's. */
class Heir {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  /** Sends the first frame; if the victim is to send one, that comes before, and the first at `goOn`. */
  constructor(socket: string, ...frames: readonly object[]) {
    const texts = frames.map((frame) => JSON.stringify(frame))
    const child = spawn('python3', [program, socket, ...texts], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child = child
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  }

  async next(): Promise<string> {
    const { value } = await before(this.#lines.next(), replyDeadlineMs, () => 'the heir says nothing')
    return value ?? 'nothing'
  }

  /** The victim's pid, and the first reply. */
  async begin() {
    return { victim: Number(await this.next()), reply: JSON.parse(await this.next()) }
  }

  goOn(): void {
    this.#child.stdin?.write('\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end()
  }
}

function watching(parameters: object) {
  return { method: `${interfaceName}.Watch`, parameters: { name: 'heir', ...parameters }, more: true }
}

let daemon: DaemonProcess
afterEach(() => daemon[Symbol.asyncDispose]())

describe.skipIf(lack)(
  `a watcher whose process had ended when it registered${lack ? ` (${lack})` : ''}`,
  () => {
    beforeEach(async () => {
      daemon = await startDaemon({
        config: '[watchers]\ndeadline = "100ms"\npolicies = { heir = "kill" }\n',
      })
    })

    it('has nobody killed in its place: it is reported', async () => {
      await using heir = new Heir(daemon.socket, watching({ tracked: true }))
      const { victim, reply } = await heir.begin()
      expect(reply.parameters.event).toBe('registered')
      await bump(daemon.socket)
      const { state } = await call(daemon.socket, 'Wait', { for: 'ready', timeoutMs: 10_000 })
      expect(state).toMatchObject({ degraded: true, missed: [{ name: 'heir', pid: victim }] })
      const { entries } = await call(daemon.socket, 'GetLog', { last: 1 })
      expect(entries[0]?.answers.map(({ answer }) => answer)).toEqual(['late'])
      expect(processStat(victim)).toMatchObject({ exiting: false })
    })

    it('has nobody signalled in its place', async () => {
      await using heir = new Heir(daemon.socket, watching({ notify: 'signal', signal: 'SIGHUP' }))
      const { victim, reply } = await heir.begin()
      expect(reply).toMatchObject({
        error: 'org.varlink.service.InvalidParameter',
        parameters: { parameter: 'notify' },
      })
      await bump(daemon.socket)
      expect(processStat(victim)).toMatchObject({ exiting: false })
    })
  },
)

describe.skipIf(lack)(`the connection of a process that has ended${lack ? ` (${lack})` : ''}`, () => {
  it.each(['Confirm', 'ConfirmQuiesce', 'Leave'])('says no %s for another with its pid', async (method) => {
    daemon = await startDaemon()
    const { generation } = await stateOf(daemon.socket)
    const more = { Confirm: { generation }, ConfirmQuiesce: { quiesce: 1 }, Leave: {} }[method]
    const claim = { method: `${interfaceName}.${method}`, parameters: { watcher: '1', ...more } }
    await using heir = new Heir(daemon.socket, claim, watching({ tracked: true }))
    const { reply } = await heir.begin()
    expect(reply.parameters).toMatchObject({ event: 'registered', watcher: '1' })
    heir.goOn()
    expect(JSON.parse(await heir.next()).error).toBe(`${interfaceName}.NotOwner`)
  })
})

/** Why pids cannot be chosen here: it takes CAP_CHECKPOINT_RESTORE in the PID namespace. */
function lackingChoice(): string | undefined {
  const { status, stderr } = spawnSync('python3', [program], { encoding: 'utf8' })
  return status === 0 ? undefined : `needs to choose pids: ${stderr.trim()}`
}
