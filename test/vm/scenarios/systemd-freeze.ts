import { setTimeout as sleep } from 'node:timers/promises'
import type { State } from 'snapsafe/protocol'
import { bootGuest } from '../framework/boot-guest.ts'
import type { Guest } from '../framework/guest.ts'
import type { Scenario, ScenarioOptions, ScenarioResult } from './scenario.ts'
import { snapsafe, untilReady } from './snapsafe-guest.ts'
import { installedSnapsafe } from './snapsafe-tree.ts'
import { frozenGroups, untilUnit } from './systemd-guest.ts'

const unit = 'snapsafed.service'
/** Units that count in a file, by their slice: one of the system, one as of a user who has logged in. */
const workload = { 'system.slice': 'work-system', 'user-1000.slice': 'work-user' } as const
const stepTimeoutMs = 60_000
const pollMs = 200

interface Quiesced {
  /** Groups, as the daemon names them. */
  readonly frozen: readonly string[]
  /** All units of the workload stood still from one look to a later one. */
  readonly standsStill: boolean
}

interface Thawed extends Pick<State, 'generation' | 'cause' | 'degraded' | 'phase'> {
  /** Groups that are frozen still. */
  readonly stillFrozen: readonly string[]
}

export interface SystemdFreezeResult extends ScenarioResult {
  readonly quiesced: Quiesced
  /** After a SIGKILL of the daemon while everything was frozen, when all units of the workload count on. */
  readonly afterKill: Thawed
  /** Of a snapshot that was planned. */
  readonly clones: readonly Thawed[]
}

/**
 * A planned snapshot where systemd runs the system: what stands still, that it always comes back, and that systemd can start
 * units meanwhile; the scenario rejects where it cannot.
 */
export const systemdFreeze: Scenario<SystemdFreezeResult> = {
  name: 'systemd-freeze',
  summary: 'all units but a few are frozen for a planned snapshot; the daemon is killed; clones of it go on',

  async run(options: ScenarioOptions): Promise<SystemdFreezeResult> {
    const { kernel, clones, onProgress, signal } = options
    const say = onProgress ?? (() => {})
    const shared = { onProgress: say, ...(signal && { signal }) }
    await using guest = await bootGuest({ kernel, init: 'systemd', trees: installedSnapsafe(), ...shared })
    for (const [slice, name] of Object.entries(workload)) {
      const loop = `i=0; while :; do i=$((i+1)); echo $i >/run/${name}; sleep 0.3; done`
      await guest.run(['systemd-run', `--slice=${slice}`, `--unit=${name}`, 'sh', '-c', loop])
    }
    say('quiescing')
    const quiesced = await quiesce(guest)
    say('starting a unit meanwhile')
    await startUnit(guest)
    say('killing the daemon')
    await guest.run(['systemctl', 'kill', '--signal=KILL', unit])
    await untilUnit(guest, unit, ['NRestarts', 'SubState'], ({ NRestarts, SubState }) => {
      return NRestarts === '1' && SubState === 'running'
    })
    const afterKill = await untilThawed(guest, await snapsafe<State>(guest, 'wait', '--timeout', '45s'))
    say('quiescing again, and taking a snapshot')
    await quiesce(guest)
    await using snapshot = await guest.snapshot()
    const after: Thawed[] = []
    for (let number = 1; number <= clones; number++) {
      say(`clone ${number} of ${clones}`)
      await using clone = await snapshot.clone({ ...(signal && { signal }) })
      after.push(await untilThawed(clone, (await untilReady(clone, afterKill.generation)).state))
    }
    const result = { quiesced, afterKill, clones: after }
    const problems = findProblems(result)
    return { ok: problems.length === 0, problems, ...result }
  },
}

async function quiesce(guest: Guest): Promise<Quiesced> {
  const state = await snapsafe<State>(guest, 'quiesce', '--thaw-after', '10m')
  const before = await counts(guest)
  // Enough for some steps of the workload, where it runs.
  await guest.run(['sleep', '2'])
  const standsStill = (await counts(guest)).every((count, index) => count === before[index])
  return { frozen: state.quiesce?.frozen ?? [], standsStill }
}

async function counts(guest: Guest): Promise<string[]> {
  return await Promise.all(Object.values(workload).map((name) => guest.readText(`/run/${name}`)))
}

/** As a login would. Where systemd hangs there is nothing more to try: nobody would start the daemon again. */
async function startUnit(guest: Guest): Promise<void> {
  const file = '/run/started-meanwhile'
  // Not with --wait, for which it speaks with D-Bus, which is frozen.
  await guest.exec(['timeout', '20', 'systemd-run', '--slice=user-1000.slice', 'touch', file])
  await guest.waitFile(file).catch(async (cause: unknown) => {
    const state = /^State:\s*(.*)$/m.exec(await guest.readText('/proc/1/status'))?.[1]
    throw new Error(`systemd does not start a unit while others are frozen; its state is ${state}`, { cause })
  })
}

async function untilThawed(guest: Guest, state: State): Promise<Thawed> {
  const before = await counts(guest)
  const deadline = performance.now() + stepTimeoutMs
  while ((await counts(guest)).some((count, index) => count === before[index])) {
    if (performance.now() > deadline) throw new Error(`a unit stands still: ${await frozenGroups(guest)}`)
    await sleep(pollMs)
  }
  const { generation, cause, degraded, phase } = state
  return { generation, cause, degraded, phase, stillFrozen: await frozenGroups(guest) }
}

function findProblems(result: Omit<SystemdFreezeResult, 'ok' | 'problems'>): string[] {
  const { quiesced, afterKill, clones } = result
  const problems: string[] = []
  if (!quiesced.standsStill) problems.push('a unit went on although the system was quiesced')
  for (const { stillFrozen, phase } of [afterKill, ...clones]) {
    if (phase !== 'running') problems.push(`the phase is ${phase}`)
    for (const group of stillFrozen) problems.push(`${group} has stayed frozen`)
  }
  if (afterKill.generation !== 1)
    problems.push(`the daemon came back with generation ${afterKill.generation}`)
  for (const { generation, cause, degraded } of clones) {
    if (generation !== afterKill.generation + 1) problems.push(`a clone has generation ${generation}`)
    if (cause !== 'clone') problems.push(`a clone names ${cause} as the cause`)
    if (degraded) problems.push('a clone is degraded')
  }
  return problems
}
