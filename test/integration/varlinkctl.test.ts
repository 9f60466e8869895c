import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { startDaemon } from '../support/daemon-process.ts'
import { lacking } from '../support/needs.ts'
import { debianPackages } from '../vm/framework/debian-packages.ts'
import { debianProgram } from '../vm/framework/debian-program.ts'
import { trixie } from '../vm/framework/debian-suite.ts'

const runFile = promisify(execFile)
const fetchTimeoutMs = 300_000
const lack = lacking('vm')

/** systemd's own client, from Debian stable: what a user has at hand. */
describe.skipIf(lack)(`varlinkctl${lack ? ` (${lack})` : ''}`, () => {
  let varlinkctl: string[]

  beforeAll(async () => {
    const root = await debianPackages({ suites: [trixie], packages: ['systemd'], take: 'closure' })
    varlinkctl = await debianProgram(root, 'usr/bin/varlinkctl')
  }, fetchTimeoutMs)

  function run(...args: string[]): Promise<{ stdout: string; stderr: string }> {
    const [command = '', ...first] = varlinkctl
    return runFile(command, [...first, ...args])
  }

  it('info shows the service, and introspect its interface', async () => {
    await using daemon = await startDaemon()
    const { stdout } = await run('info', daemon.socket)
    expect(stdout).toContain('snapsafed')
    expect(stdout).toContain('io.snapsafe.Generation')
    const introspected = await run('introspect', daemon.socket, 'io.snapsafe.Generation')
    expect(introspected.stdout).toContain('method GetState')
  })

  it('call makes calls, and shows errors', async () => {
    await using daemon = await startDaemon()
    const call = (method: string, parameters: object) =>
      run(
        'call',
        '--json=short',
        daemon.socket,
        `io.snapsafe.Generation.${method}`,
        JSON.stringify(parameters),
      )
    await call('Bump', { reason: 'by hand' })
    expect(JSON.parse((await call('GetState', {})).stdout)).toMatchObject({
      state: { generation: 1, reason: 'by hand' },
    })
    await expect(call('Confirm', { watcher: '1', generation: 1 })).rejects.toMatchObject({
      stderr: expect.stringContaining('io.snapsafe.Generation.NoSuchWatcher'),
    })
  })
})
