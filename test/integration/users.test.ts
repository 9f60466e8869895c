import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CommandProcess, snapsafe } from '../support/command-process.ts'
import { type DaemonProcess, startDaemon } from '../support/daemon-process.ts'
import { eventually } from '../support/eventually.ts'
import { groupNumber } from '../support/groups.ts'
import { lacking, nobody } from '../support/needs.ts'
import { RawPeer } from '../support/raw-peer.ts'
import { bump, call, stateOf, TestWatcher } from '../support/test-watcher.ts'

const group = 'games'
const lack = lacking('users') ?? (groupNumber(group) === undefined ? `needs a group ${group}` : undefined)
const gid = groupNumber(group) ?? -1
const unprivileged = { uid: nobody, gid: nobody }
const another = { uid: nobody - 1, gid: nobody }
const member = { uid: nobody, gid }

describe.skipIf(lack)(`other users${lack ? ` (${lack})` : ''}`, () => {
  let daemon: DaemonProcess
  beforeAll(async () => {
    daemon = await startDaemon({ config: `[daemon]\ngroup = "${group}"` })
  })
  afterAll(() => daemon[Symbol.asyncDispose]())

  describe('who is nobody', () => {
    it('may watch, wait and look', async () => {
      await using watch = new CommandProcess(daemon, ['watch', '--once'], unprivileged)
      await watch.printed(1)
      await bump(daemon.socket)
      expect((await watch.ended).code).toBe(0)
      for (const command of ['status', 'wait', 'watchers']) {
        expect(await snapsafe(daemon, [command], unprivileged)).toMatchObject({ code: 0, stderr: '' })
      }
      await using peer = RawPeer.connectAs(unprivileged, daemon.socket)
      const { possible, detail } = (await peer.call('GetFreeze')).parameters
      expect({ possible, detail }).toEqual({ possible: false, detail: 'a planned snapshot freezes nothing' })
    })

    it.each(['quiesce', 'resume'])('may not %s', async (command) => {
      const before = await stateOf(daemon.socket)
      expect(await snapsafe(daemon, [command], unprivileged)).toMatchObject({ code: 4, stdout: '' })
      expect(await stateOf(daemon.socket)).toEqual(before)
    })

    it('may not bump: exit status 4, and nothing happens', async () => {
      const before = await stateOf(daemon.socket)
      const { code, stdout, stderr } = await snapsafe(daemon, ['bump', '--json'], unprivileged)
      expect({ code, stdout }).toEqual({ code: 4, stdout: '' })
      expect(stderr).toBe(`snapsafe: the daemon does this only for root, or a member of the group ${group}\n`)
      expect(await stateOf(daemon.socket)).toEqual(before)
    })

    it('is told so on the socket, too', async () => {
      await using peer = RawPeer.connectAs(unprivileged, daemon.socket)
      expect(await peer.call('Bump')).toEqual({
        error: 'io.snapsafe.Generation.PermissionDenied',
        parameters: { required: `root, or a member of the group ${group}` },
      })
      expect((await peer.call('GetState')).error).toBeUndefined()
    })

    it('may confirm for itself, and the guest is ready', async () => {
      const child = spawn(process.execPath, ['-e', confirmingScript, daemon.socket], {
        stdio: ['ignore', 'pipe', 'inherit'],
        cwd: '/',
        ...unprivileged,
      })
      try {
        await once(child.stdout, 'data')
        const { generation } = await bump(daemon.socket)
        const { state } = await call(daemon.socket, 'Wait', { for: 'ready', timeoutMs: 15_000 })
        expect(state).toMatchObject({ generation, trackedWatchers: 1, outdatedWatchers: 0, degraded: false })
      } finally {
        child.kill('SIGKILL')
      }
    })

    it('may not confirm for another process of its own user', async () => {
      await using watcher = RawPeer.connectAs(unprivileged, daemon.socket)
      await using other = RawPeer.connectAs(unprivileged, daemon.socket)
      const { parameters } = await watcher.call('Watch', { name: 'theirs' }, { more: true })
      const confirmation = { watcher: parameters.watcher, generation: parameters.state.generation }
      expect((await other.call('Confirm', confirmation)).error).toBe('io.snapsafe.Generation.NotOwner')
    })

    it('is told by doctor that only root can know of the kernel log, or that it can be read', async () => {
      const { stdout } = await snapsafe(daemon, ['doctor', '--json'], unprivileged)
      const finding = JSON.parse(stdout).findings.find(
        ({ check }: { check: string }) => check === 'kernel-log',
      )
      expect(finding.verdict).toMatch(/^(ok|unknown)$/)
    })
  })

  describe('a member of the configured group', () => {
    it('may bump, by the group of its process', async () => {
      const { generation } = await stateOf(daemon.socket)
      expect(await snapsafe(daemon, ['bump'], member)).toMatchObject({ code: 0, stderr: '' })
      expect((await stateOf(daemon.socket)).generation).toBe(generation + 1)
    })

    it('may bump, by a supplementary group', async () => {
      const { generation } = await stateOf(daemon.socket)
      const asMember = [`--reuid=${nobody}`, `--regid=${nobody}`, `--groups=${gid}`]
      const call = [process.execPath, '-e', bumpScript, daemon.socket]
      const reply = execFileSync('setpriv', [...asMember, ...call], { encoding: 'utf8', cwd: '/' })
      expect(JSON.parse(reply.slice(0, -1)).parameters.state.generation).toBe(generation + 1)
    })

    it('sees everybody’s watchers', async () => {
      await using _ = await TestWatcher.join(daemon.socket, { name: 'of root' })
      const { stdout } = await snapsafe(daemon, ['watchers', '--json'], member)
      expect(namesOf(JSON.parse(stdout).watchers)).toContain('of root')
    })
  })

  describe('where a policy says hold', () => {
    const keys = `{ after_deadline = "hold", user = ${nobody} }`
    const config = `[watchers]\nmax_deadline = "100ms"\ndeadline = "100ms"\nafter_deadline = "hold"\npolicies = { keys = "hold", named = ${keys} }\n`
    const late = { tracked: true, deadlineMs: 100 }

    it('nobody takes the name, and holds up ready for ever', async () => {
      await using holding = await startDaemon({ config })
      await using one = RawPeer.connectAs(unprivileged, holding.socket)
      await using two = RawPeer.connectAs(unprivileged, holding.socket)
      await using three = RawPeer.connectAs(another, holding.socket)
      await one.call('Watch', { name: 'keys', ...late }, { more: true })
      await two.call('Watch', { name: 'other', ...late }, { more: true })
      await three.call('Watch', { name: 'named', ...late }, { more: true })
      await bump(holding.socket)
      const { state } = await call(holding.socket, 'Wait', { for: 'ready', timeoutMs: 10_000 })
      expect(state).toMatchObject({ phase: 'running', degraded: true })
      expect(namesOf(state.missed)).toEqual(['keys', 'named', 'other'])
    })

    it('the user that it names is waited for', async () => {
      await using holding = await startDaemon({ config })
      await using named = RawPeer.connectAs(unprivileged, holding.socket)
      await named.call('Watch', { name: 'named', ...late }, { more: true })
      await bump(holding.socket)
      await eventually('it is held', async () => {
        const { entries } = await call(holding.socket, 'GetLog', { last: 1 })
        return entries[0]?.answers.some(({ name, answer }) => name === 'named' && answer === 'held')
      })
      expect((await stateOf(holding.socket)).phase).toBe('adjusting')
    })
  })

  describe('the watchers of one user', () => {
    it('are not shown to another, neither listed nor as missed; root sees all', async () => {
      await eventually('those of other tests are gone', async () => {
        return (await call(daemon.socket, 'ListWatchers', {})).watchers.length === 0
      })
      await using one = RawPeer.connectAs(unprivileged, daemon.socket)
      await using two = RawPeer.connectAs(another, daemon.socket)
      const parameters = { tracked: true, deadlineMs: 1 }
      await one.call('Watch', { name: 'of one', ...parameters }, { more: true })
      await two.call('Watch', { name: 'of two', ...parameters }, { more: true })
      await bump(daemon.socket)
      await call(daemon.socket, 'Wait', { for: 'ready' })

      await using asker = RawPeer.connectAs(unprivileged, daemon.socket)
      expect(namesOf((await asker.call('ListWatchers')).parameters.watchers)).toEqual(['of one'])
      const { state } = (await asker.call('GetState')).parameters
      expect(namesOf(state.missed)).toEqual(['of one'])
      // How many there are is no secret.
      expect(state).toMatchObject({ degraded: true, trackedWatchers: 2, outdatedWatchers: 2 })

      const all = await call(daemon.socket, 'ListWatchers', {})
      expect(namesOf(all.watchers)).toEqual(['of one', 'of two'])
      expect(namesOf((await stateOf(daemon.socket)).missed)).toEqual(['of one', 'of two'])
      const wait = await snapsafe(daemon, ['wait'], unprivileged)
      expect(wait.code).toBe(3)
      expect(wait.stderr).toMatch(/of one.*\n.*1 watchers that this user may not see/)
    })
  })
})

/** Watches, and confirms each generation on a connection of its own. Says when it is registered. */
const confirmingScript = `
const { connect } = require('node:net')
const frame = (method, parameters, more) =>
  JSON.stringify({ method: 'io.snapsafe.Generation.' + method, parameters, more }) + '\\0'
const watch = connect(process.argv[1])
watch.write(frame('Watch', { name: 'confirming', tracked: true }, true))
watch.on('data', (data) => {
  for (const text of data.toString().split('\\0').filter(Boolean)) {
    const { watcher, event, state } = JSON.parse(text).parameters
    if (event === 'registered') console.log(watcher)
    if (event !== 'generation') continue
    connect(process.argv[1]).end(frame('Confirm', { watcher, generation: state.generation }))
  }
})
`

/** Run with nothing but Node: calls Bump, and prints the frame that comes back. */
const bumpScript = `
const socket = require('node:net').connect(process.argv[1])
socket.write('{"method":"io.snapsafe.Generation.Bump"}\\0')
socket.on('data', (reply) => { process.stdout.write(reply); socket.end() })
`

function namesOf(watchers: readonly { readonly name: string }[]): string[] {
  return watchers.map(({ name }) => name).sort()
}
