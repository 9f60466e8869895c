import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DaemonProcess, runDaemon, startDaemon } from '../support/daemon-process.ts'
import { eventually } from '../support/eventually.ts'
import { lacking } from '../support/needs.ts'
import { bump, stateOf } from '../support/test-watcher.ts'

const lackPython = lacking('python3')

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'snapsafe-manager-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe.skipIf(lackPython)(`sd_notify${lackPython ? ` (${lackPython})` : ''}`, () => {
  it('tells READY=1 when the socket answers, and STOPPING=1 when it is stopped', async () => {
    await using manager = await ServiceManager.listen(join(folder, 'notify'))
    const daemon = new DaemonProcess({ env: manager.env })
    await using _ = daemon
    await eventually('it is ready', () => manager.said.some((message) => message.startsWith('READY=1')), {
      explain: () => daemon.log(),
    })
    // No more waiting than that: who depends on the service is started now.
    expect((await stateOf(daemon.socket)).generation).toBe(0)
    expect(manager.said).toEqual(['READY=1\nSTATUS=generation 0'])
    expect((await daemon.stop()).code).toBe(0)
    await eventually('it said that it stops', () => manager.said.length === 2)
    expect(manager.said[1]).toBe('STOPPING=1')
  })

  it('tells nothing where the start fails', async () => {
    await using manager = await ServiceManager.listen(join(folder, 'notify'))
    const { code } = await runDaemon({ env: manager.env, config: '[sources]\nkmsg = 1' })
    expect(code).toBe(78)
    await using _ = await startDaemon({ env: manager.env })
    await eventually('the next one says that it is ready', () => manager.said.length > 0)
    expect(manager.said).toHaveLength(1)
  })

  it('takes an abstract socket, too', async () => {
    await using manager = await ServiceManager.listen(`@snapsafe-test-${process.pid}`)
    await using _ = await startDaemon({ env: manager.env })
    await eventually('it is ready', () => manager.said.length === 1)
  })

  it('that goes nowhere ends the start, and does not keep a daemon from cleaning up', async () => {
    const { code, log } = await runDaemon({ env: { NOTIFY_SOCKET: join(folder, 'nobody') } })
    expect(log).toContain(
      `error: cannot tell the service manager on ${join(folder, 'nobody')} (NOTIFY_SOCKET)`,
    )
    expect(code).toBe(1)

    const manager = await ServiceManager.listen(join(folder, 'notify'))
    await using daemon = await startDaemon({ env: manager.env })
    await manager[Symbol.asyncDispose]()
    expect((await daemon.stop()).code).toBe(1)
    expect(existsSync(daemon.socket)).toBe(false)
  })
})

describe.skipIf(lackPython)(`socket activation${lackPython ? ` (${lackPython})` : ''}`, () => {
  it('takes over the socket that is listened on, with who has connected before', async () => {
    const path = join(folder, 'io.snapsafe.Generation')
    const launcher = ['python3', '-c', activator, path, process.execPath] as const
    await using daemon = new DaemonProcess({ runtimeDir: folder, launcher })
    await eventually('somebody listens', () => existsSync(path))
    const early = await stateOf(path)
    expect(early.generation).toBe(0)
    expect((await bump(path)).generation).toBe(1)
    expect((await daemon.stop()).code).toBe(0)
    // It is the service manager's, who goes on to listen for the next one.
    expect(existsSync(path)).toBe(true)
  })

  it('is not meant for us where LISTEN_PID is another’s', async () => {
    await using daemon = await startDaemon({ env: { LISTEN_PID: `${process.pid}`, LISTEN_FDS: '1' } })
    expect((await bump(daemon.socket)).generation).toBe(1)
  })
})

/** A Unix datagram socket, as a service manager has it. Node has none. */
class ServiceManager {
  readonly env: { readonly NOTIFY_SOCKET: string }
  /** The messages that came, in order. */
  readonly said: string[] = []
  readonly #child: ChildProcess
  readonly #ended: Promise<void>

  static async listen(path: string): Promise<ServiceManager> {
    const child = spawn('python3', ['-u', '-c', receiver, path], { stdio: ['ignore', 'pipe', 'inherit'] })
    const manager = new ServiceManager(path, child)
    await eventually('it listens', () => manager.said.shift() === 'listening')
    return manager
  }

  private constructor(path: string, child: ReturnType<typeof spawn>) {
    this.env = { NOTIFY_SOCKET: path }
    this.#child = child
    this.#ended = new Promise((resolve) => child.once('close', () => resolve()))
    let text = ''
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (text + chunk).split('\n')
      text = lines.pop() ?? ''
      this.said.push(...lines.map((line) => JSON.parse(line)))
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }
}

const receiver = `
import json, socket, sys
path = sys.argv[1]
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind('\\0' + path[1:] if path[0] == '@' else path)
print(json.dumps('listening'))
while True:
    print(json.dumps(receiver.recv(4096).decode()))
`

/** Listens, and becomes the daemon with the socket as descriptor 3, and LISTEN_PID its own pid. */
const activator = `
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1] + '.early')
listener.listen(16)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')
os.rename(sys.argv[1] + '.early', sys.argv[1])
os.execv(sys.argv[2], sys.argv[2:])
`
