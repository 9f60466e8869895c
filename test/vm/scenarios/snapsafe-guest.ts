import { dirname } from 'node:path'
import type { State, Watcher } from 'snapsafe/protocol'
import type { Guest } from '../framework/guest.ts'
import { guestPrograms } from './snapsafe-tree.ts'

const configPath = '/etc/snapsafe/snapsafed.toml'
const commandTimeoutMs = 60_000
/** For the daemon in the guest: an emulated machine takes its time. */
const waitInGuest = '45s'
const startTimeoutMs = 60_000

/**
 * Starts the daemon in a guest, as its system's own, and resolves when it answers. `name` is what the agent calls it; `config`
 * is the text of its configuration, which stays for those that are started later.
 */
export async function startDaemon(
  guest: Guest,
  { name = 'snapsafed', config }: { name?: string; config?: string } = {},
): Promise<void> {
  if (config !== undefined) {
    await guest.run(['mkdir', '-p', dirname(configPath)])
    await guest.writeFile(configPath, config)
  }
  await guest.start(name, ['node', guestPrograms.snapsafed])
  const deadline = performance.now() + startTimeoutMs
  // Its file may be that of a daemon that was killed: whether one answers, only asking tells.
  for (;;) {
    const { code, stderr } = await guest.exec(['node', guestPrograms.snapsafe, 'status'], {
      timeoutMs: commandTimeoutMs,
    })
    if (code === 0) return
    if (performance.now() > deadline) {
      const said = (await guest.lines(name)).map(({ text }) => text)
      throw new Error(['snapsafed does not answer', stderr.trim(), 'it said:', ...said].join('\n  '))
    }
  }
}

/** Runs the command `snapsafe` in a guest and gives its JSON; rejects if it does not end with 0. */
export async function snapsafe<T>(guest: Guest, ...args: string[]): Promise<T> {
  const argv = ['node', guestPrograms.snapsafe, ...args, '--json']
  return JSON.parse(await guest.run(argv, { timeoutMs: commandTimeoutMs }))
}

export interface AfterRestore {
  readonly state: State
  readonly watchers: readonly Watcher[]
}

/** Waits until a restored guest has left a generation and is ready, with everybody adjusted. */
export async function untilReady(guest: Guest, from: number): Promise<AfterRestore> {
  await snapsafe(guest, 'wait', '--for', 'generation', '--from', `${from}`, '--timeout', waitInGuest)
  const state = await snapsafe<State>(guest, 'wait', '--timeout', waitInGuest)
  const { watchers } = await snapsafe<{ watchers: Watcher[] }>(guest, 'watchers')
  return { state, watchers }
}
