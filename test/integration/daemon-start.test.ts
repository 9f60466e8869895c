import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runDaemon, startDaemon } from '../support/daemon-process.ts'
import { lacking, nobody } from '../support/needs.ts'
import { bump, stateOf, TestWatcher } from '../support/test-watcher.ts'

const lackUsers = lacking('users')
/** Another daemon opens the page for writing, which its mode (0444) allows to root alone. */
const lackRoot = lacking('root')
const needing = lackRoot ? ` (${lackRoot})` : ''

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'snapsafe-start-'))
  chmodSync(folder, 0o755)
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('a runtime directory that cannot be used ends the start with 1, and the log says why:', () => {
  it('a file is in its place', async () => {
    const runtimeDir = join(folder, 'file')
    writeFileSync(runtimeDir, 'mine')
    const { code, log } = await runDaemon({ runtimeDir })
    expect(log).toContain(`error: cannot use the runtime directory ${runtimeDir}: EEXIST`)
    expect(code).toBe(1)
    expect(readFileSync(runtimeDir, 'utf8')).toBe('mine')
  })

  it('everybody may write to it, and its mode stays', async () => {
    const runtimeDir = join(folder, 'shared')
    mkdirSync(runtimeDir)
    chmodSync(runtimeDir, 0o1777)
    const { code, log } = await runDaemon({ runtimeDir })
    expect(log).toContain(`error: cannot use the runtime directory ${runtimeDir}: everybody may write to it`)
    expect(code).toBe(1)
    expect(statSync(runtimeDir).mode & 0o7777).toBe(0o1777)
    expect(readdirSync(runtimeDir)).toEqual([])
  })

  it.skipIf(lackUsers)(`it is somebody else’s${lackUsers ? ` (${lackUsers})` : ''}`, async () => {
    const runtimeDir = join(folder, 'of-root')
    mkdirSync(runtimeDir)
    for (const path of [runtimeDir, join(folder, 'not-to-be-made')]) {
      const { code, log } = await runDaemon({ runtimeDir: path, uid: nobody, gid: nobody })
      expect(log).toMatch(
        /error: cannot use the runtime directory .*: E(PERM|ACCES): .*; run as root, or name another/,
      )
      expect(code).toBe(1)
    }
    expect(readdirSync(runtimeDir)).toEqual([])
  })

  it('its path is too long for a socket', async () => {
    const runtimeDir = join(folder, 'x'.repeat(100))
    const { code, log } = await runDaemon({ runtimeDir })
    expect(log).toContain(
      `error: cannot use the runtime directory ${runtimeDir}: its path is too long for a socket`,
    )
    expect(code).toBe(1)
    expect(readdirSync(folder)).toEqual([])
  })
})

describe('a second daemon on the same directory', () => {
  it('ends with 1 and names the first, which goes on unharmed', async () => {
    await using first = await startDaemon()
    await using watcher = await TestWatcher.join(first.socket, { tracked: true })
    const before = await stateOf(first.socket)
    const { code, log } = await runDaemon({ runtimeDir: first.runtimeDir })
    expect(log).toContain(`error: another snapsafed (pid ${first.pid}) runs on ${first.runtimeDir}`)
    expect(code).toBe(1)
    expect(await stateOf(first.socket)).toEqual(before)
    await watcher.isServed()
  })
})

describe('what lies in the runtime directory already:', () => {
  it.skipIf(lackRoot)(`the socket of a daemon that was killed is replaced${needing}`, async () => {
    await using daemon = await startDaemon()
    daemon.kill('SIGKILL')
    await daemon.ended()
    expect(statSync(daemon.socket).isSocket()).toBe(true)
    await daemon.restart()
    expect((await bump(daemon.socket)).generation).toBe(1)
  })

  it.each([
    ['a text', 'my notes\n', 'wrong size'],
    ['a file of the page’s size', Buffer.alloc(4096, 1), 'wrong magic'],
  ])('a foreign file under the name of the page is refused and stays: %s', async (_, content, fault) => {
    const path = join(folder, 'generation')
    writeFileSync(path, content)
    const before = statSync(path)
    const { code, log } = await runDaemon({ runtimeDir: folder })
    expect(log).toContain(`error: ${path} is not a generation page of snapsafe (${fault})`)
    expect(code).toBe(1)
    expect(readFileSync(path)).toEqual(Buffer.from(content))
    const { ino, mode, mtimeMs } = statSync(path)
    expect({ ino, mode, mtimeMs }).toEqual({ ino: before.ino, mode: before.mode, mtimeMs: before.mtimeMs })
  })

  it.skipIf(lackRoot)(
    `a state file that cannot be understood is one that is not there${needing}`,
    async () => {
      await using daemon = await startDaemon()
      const { generationId } = await bump(daemon.socket, 'lost with the file')
      await daemon.stop()
      writeFileSync(join(daemon.runtimeDir, 'daemon.json'), '{"version":')
      await daemon.restart()
      const state = await stateOf(daemon.socket)
      // What is not known is not promised.
      expect(state).toMatchObject({
        generation: 1,
        generationId,
        cause: 'ambiguous',
        kernelRandom: 'unproven',
        degraded: true,
      })
      expect(state.reason).toBeUndefined()
    },
  )
})

describe('what the daemon makes', () => {
  it('is for everybody to read, and for nobody else to write', async () => {
    await using daemon = await startDaemon()
    await bump(daemon.socket)
    const modeOf = (name: string) => (statSync(join(daemon.runtimeDir, name)).mode & 0o7777).toString(8)
    expect(readdirSync(daemon.runtimeDir).sort()).toEqual(
      ['daemon.json', 'generation', 'io.snapsafe.Generation', 'lock'].sort(),
    )
    expect({
      '.': modeOf('.'),
      generation: modeOf('generation'),
      socket: modeOf('io.snapsafe.Generation'),
      lock: modeOf('lock'),
      state: modeOf('daemon.json'),
    }).toEqual({ '.': '755', generation: '444', socket: '666', lock: '600', state: '600' })
  })

  it('in the state directory is a line for each generation; without a place for it the daemon goes on', async () => {
    await using daemon = await startDaemon()
    await bump(daemon.socket, 'first')
    const journal = join(daemon.stateDir, 'generations.jsonl')
    const lines = readFileSync(journal, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines).toMatchObject([{ generation: 1, reason: 'first', cause: 'command', missed: [] }])
    rmSync(daemon.stateDir, { recursive: true })
    writeFileSync(daemon.stateDir, 'in the way')
    expect((await bump(daemon.socket)).generation).toBe(2)
    expect(daemon.log()).toContain(`warning: cannot record generation 2 in ${journal}`)
  })
})
