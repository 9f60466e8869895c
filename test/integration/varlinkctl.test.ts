import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { startDaemon } from '../support/daemon-process.ts'
import { lacking } from '../support/needs.ts'

const run = promisify(execFile)
const lack = lacking('varlinkctl')

describe.skipIf(lack)(`varlinkctl${lack ? ` (${lack})` : ''}`, () => {
  it('info shows the service, and introspect its interface', async () => {
    await using daemon = await startDaemon()
    const { stdout } = await run('varlinkctl', ['info', daemon.socket])
    expect(stdout).toContain('snapsafed')
    expect(stdout).toContain('io.snapsafe.Generation')
    const introspected = await run('varlinkctl', ['introspect', daemon.socket, 'io.snapsafe.Generation'])
    expect(introspected.stdout).toContain('method GetState')
  })

  it('call makes calls, and shows errors', async () => {
    await using daemon = await startDaemon()
    const call = (method: string, parameters: object) =>
      run('varlinkctl', [
        'call',
        '--json=short',
        daemon.socket,
        `io.snapsafe.Generation.${method}`,
        JSON.stringify(parameters),
      ])
    await call('Bump', { reason: 'by hand' })
    expect(JSON.parse((await call('GetState', {})).stdout)).toMatchObject({
      state: { generation: 1, reason: 'by hand' },
    })
    await expect(call('Confirm', { watcher: '1', generation: 1 })).rejects.toMatchObject({
      stderr: expect.stringContaining('io.snapsafe.Generation.NoSuchWatcher'),
    })
  })
})
