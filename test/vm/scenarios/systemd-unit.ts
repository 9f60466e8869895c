import type { LogEntry, State, Watcher } from 'snapsafe/protocol'
import { AgentError } from '../framework/agent-link.ts'
import { bootGuest } from '../framework/boot-guest.ts'
import type { Guest } from '../framework/guest.ts'
import type { Scenario, ScenarioOptions, ScenarioResult } from './scenario.ts'
import { snapsafe, untilReady } from './snapsafe-guest.ts'
import { installedSnapsafe } from './snapsafe-tree.ts'
import { freezeOthers, unitProperties, untilUnit } from './systemd-guest.ts'

const unit = 'snapsafed.service'
const page = '/run/snapsafe/generation'
const statusProperties = ['ActiveState', 'SubState', 'StatusText', 'NRestarts', 'MainPID'] as const
/** Files that the daemon must be able to write, and others that it must not. */
const files = {
  writable: ['/run/snapsafe/test', '/var/lib/snapsafe/test', '/sys/fs/cgroup/init.scope/cgroup.freeze'],
  readOnly: ['/usr/test', '/etc/test', '/var/lib/test', '/run/test', '/root/test', '/home/test'],
} as const
/** Something that runs on without the daemon, or stands still with everything else. */
const workload = ['--unit=workload', '--slice=user.slice', 'sleep', 'infinity'] as const
/** A client that knows nothing of snapsafe, and does not connect again. */
const watcher = (name: string, options = {}) => [
  ...['varlinkctl', '--more', '--json=short', 'call', '/run/snapsafe/io.snapsafe.Generation'],
  ...['io.snapsafe.Generation.Watch', JSON.stringify({ name, ...options })],
]
const watchName = 'varlinkctl'
const stubbornUnit = 'stubborn.service'
const config = '[watchers]\npolicies = { stubborn = "restart" }\n'
/** Bits of capabilities(7) by number. */
const capabilityNames: Readonly<Record<number, string>> = {
  1: 'CAP_DAC_OVERRIDE',
  5: 'CAP_KILL',
  19: 'CAP_SYS_PTRACE',
  21: 'CAP_SYS_ADMIN',
  34: 'CAP_SYSLOG',
}

type UnitStatus = Record<(typeof statusProperties)[number], string>

interface Confinement {
  readonly capabilities: readonly string[]
  readonly noNewPrivileges: boolean
  readonly writable: readonly string[]
  /** Below the root of all control groups. */
  readonly controlGroup: string
}

export interface SystemdUnitResult extends ScenarioResult {
  /** Units of the whole system that failed at boot. */
  readonly failedUnits: readonly string[]
  readonly boot: UnitStatus
  /** It said READY=1 before systemd took basic.target for reached. */
  readonly readyBeforeBasic: boolean
  readonly confinement: Confinement
  readonly bump: Pick<State, 'generation' | 'kernelRandom' | 'degraded'> & { readonly statusText: string }
  /** After a SIGKILL while all other units were frozen, when systemd has started it again. */
  readonly afterKill: UnitStatus & Pick<State, 'generation' | 'generationId'> & { readonly samePage: boolean }
  /** What a watcher whose connection systemd kept was told of on it: over the SIGKILL, and over an orderly restart. */
  readonly toldOnKeptConnection: { readonly afterKill: boolean; readonly afterRestart: boolean }
  /** A unit whose watcher never confirms, where it is configured that such are restarted. */
  readonly stubborn: {
    readonly hasNewProcess: boolean
    readonly answers: readonly string[]
    readonly degraded: boolean
  }
  /** Of the last generation before the snapshot. */
  readonly beforeSnapshot: Pick<State, 'generation'> & Pick<UnitStatus, 'NRestarts'>
  readonly clones: readonly (Pick<State, 'generation' | 'cause' | 'kernelRandom' | 'degraded'> & UnitStatus)[]
  readonly doctor: Readonly<Record<string, string>>
}

/** The daemon as systemd runs it: the unit with its restrictions, its place in the boot, its restart. */
export const systemdUnit: Scenario<SystemdUnitResult> = {
  name: 'systemd-unit',
  summary:
    'systemd runs the daemon from its unit: boot, restrictions, a bump, SIGKILL and restart, clones, doctor',

  async run(options: ScenarioOptions): Promise<SystemdUnitResult> {
    const { kernel, clones, onProgress, signal } = options
    const say = onProgress ?? (() => {})
    const shared = { onProgress: say, ...(signal && { signal }) }
    await using guest = await bootGuest({ kernel, init: 'systemd', trees: installedSnapsafe(), ...shared })
    say('systemd has started everything')
    const boot = await unitProperties(guest, unit, statusProperties)
    const failedUnits = await listFailedUnits(guest)
    const readyBeforeBasic = await isReadyBeforeBasic(guest)
    const confinement = await readConfinement(guest, boot.MainPID)
    say('bumping')
    const bump = await tryBump(guest)
    say('killing the daemon while all other units are frozen')
    await guest.run(['systemd-run', ...workload])
    await guest.start(watchName, watcher(watchName))
    await guest.waitLine(watchName, '"registered"')
    const thaw = await freezeOthers(guest)
    const afterKill = await killDaemon(guest)
    await thaw()
    const toldAfterKill = await isTold(guest)
    say('having a stubborn unit restarted')
    await guest.run(['mkdir', '-p', '/etc/snapsafe'])
    await guest.writeFile('/etc/snapsafe/snapsafed.toml', config)
    await guest.run(['systemctl', 'restart', unit])
    const toldOnKeptConnection = { afterKill: toldAfterKill, afterRestart: await isTold(guest) }
    const stubborn = await tryStubborn(guest)
    const { generation } = await snapsafe<State>(guest, 'status')
    const { NRestarts } = await unitProperties(guest, unit, statusProperties)
    const beforeSnapshot = { generation, NRestarts }
    const { findings } = await snapsafe<{ findings: { check: string; verdict: string }[] }>(guest, 'doctor')

    say('taking a snapshot')
    await using snapshot = await guest.snapshot()
    const after: SystemdUnitResult['clones'][number][] = []
    for (let number = 1; number <= clones; number++) {
      say(`clone ${number} of ${clones}`)
      await using clone = await snapshot.clone({ ...(signal && { signal }) })
      const { generation, cause, kernelRandom, degraded } = (
        await untilReady(clone, beforeSnapshot.generation)
      ).state
      const status = await unitProperties(clone, unit, statusProperties)
      after.push({ generation, cause, kernelRandom, degraded, ...status })
    }
    const result = {
      failedUnits,
      boot,
      readyBeforeBasic,
      confinement,
      bump,
      afterKill,
      toldOnKeptConnection,
      stubborn,
      beforeSnapshot,
      clones: after,
      doctor: Object.fromEntries(findings.map(({ check, verdict }) => [check, verdict])),
    }
    const problems = findProblems(result)
    return { ok: problems.length === 0, problems, ...result }
  },
}

async function listFailedUnits(guest: Guest): Promise<string[]> {
  const text = await guest.run([
    'systemctl',
    'list-units',
    '--failed',
    '--plain',
    '--no-legend',
    '--no-pager',
  ])
  return text.split('\n').flatMap((line) => /^\S+/.exec(line)?.[0] ?? [])
}

async function isReadyBeforeBasic(guest: Guest): Promise<boolean> {
  const names = ['ActiveEnterTimestampMonotonic'] as const
  const daemon = await unitProperties(guest, unit, names)
  const basic = await unitProperties(guest, 'basic.target', names)
  const [ready, reached] = [daemon, basic].map((each) => Number(each.ActiveEnterTimestampMonotonic))
  return ready !== undefined && reached !== undefined && ready > 0 && ready <= reached
}

async function readConfinement(guest: Guest, pid: string): Promise<Confinement> {
  const status = await guest.readText(`/proc/${pid}/status`)
  const bits = BigInt(`0x${/^CapEff:\s*(\w+)$/m.exec(status)?.[1]}`)
  const capabilities = Array.from({ length: 64 }, (_, bit) => bit)
    .filter((bit) => (bits >> BigInt(bit)) & 1n)
    .map((bit) => capabilityNames[bit] ?? `capability ${bit}`)
  const writable: string[] = []
  for (const path of [...files.writable, ...files.readOnly]) {
    if (await canWrite(guest, `/proc/${pid}/root${path}`)) writable.push(path)
  }
  const group = /^0::(.*)$/m.exec(await guest.readText(`/proc/${pid}/cgroup`))?.[1]
  return {
    capabilities: capabilities.sort(),
    noNewPrivileges: /^NoNewPrivs:\s*1$/m.test(status),
    writable,
    controlGroup: group ?? '',
  }
}

/** Through the root of a process, paths are what they are to the process. */
async function canWrite(guest: Guest, path: string): Promise<boolean> {
  try {
    await guest.writeFile(path, '0')
    return true
  } catch (error) {
    if (error instanceof AgentError && error.guestCode === 'EROFS') return false
    throw error
  }
}

async function tryBump(guest: Guest): Promise<SystemdUnitResult['bump']> {
  const { generation, kernelRandom, degraded } = await snapsafe<State>(guest, 'bump', '--reason', 'test')
  const told = (properties: { StatusText: string }) => properties.StatusText.includes(`${generation}`)
  const { StatusText } = await untilUnit(guest, unit, ['StatusText'], told)
  return { generation, kernelRandom, degraded, statusText: StatusText }
}

/** Whether the next generation arrives on the connection that was there before. */
async function isTold(guest: Guest): Promise<boolean> {
  const { generation } = await snapsafe<State>(guest, 'bump')
  const told = guest.waitLine(
    watchName,
    `"event":"generation","outdated":true,"state":{"generation":${generation},`,
  )
  return told.then(
    () => true,
    () => false,
  )
}

async function tryStubborn(guest: Guest): Promise<SystemdUnitResult['stubborn']> {
  const command = watcher('stubborn', { tracked: true, deadlineMs: 1000 })
  await guest.run(['systemd-run', `--unit=${stubbornUnit}`, ...command])
  const pidOf = async () => (await unitProperties(guest, stubbornUnit, ['MainPID'])).MainPID
  const before = await pidOf()
  await untilWatching(guest, Number(before))
  await snapsafe(guest, 'bump')
  const after = await untilUnit(
    guest,
    stubbornUnit,
    ['MainPID'],
    ({ MainPID }) => MainPID !== before && MainPID !== '0',
  )
  const { degraded } = await snapsafe<State>(guest, 'wait', '--timeout', '60s')
  const { entries } = await snapsafe<{ entries: LogEntry[] }>(guest, 'log', '--last', '1')
  const answers = entries.flatMap(({ answers }) => answers.map(({ name, answer }) => `${name} ${answer}`))
  return { hasNewProcess: after.MainPID !== before, answers, degraded }
}

async function untilWatching(guest: Guest, pid: number): Promise<void> {
  for (;;) {
    const { watchers } = await snapsafe<{ watchers: Watcher[] }>(guest, 'watchers')
    if (watchers.some((each) => each.pid === pid)) return
    // systemd starts it within its own deadlines, and says so if it does not.
    await untilUnit(guest, stubbornUnit, ['SubState'], ({ SubState }) => SubState === 'running')
  }
}

async function killDaemon(guest: Guest): Promise<SystemdUnitResult['afterKill']> {
  const inode = await guest.run(['stat', '-c', '%i', page])
  await guest.run(['systemctl', 'kill', '--signal=KILL', unit])
  const isBack = ({ NRestarts, SubState }: UnitStatus) => NRestarts === '1' && SubState === 'running'
  const status = await untilUnit(guest, unit, statusProperties, isBack)
  const { generation, generationId } = await snapsafe<State>(guest, 'status')
  const samePage = (await guest.run(['stat', '-c', '%i', page])) === inode
  return { ...status, generation, generationId, samePage }
}

function findProblems(result: Omit<SystemdUnitResult, 'ok' | 'problems'>): string[] {
  const { failedUnits, boot, readyBeforeBasic, confinement, bump, afterKill, clones, doctor } = result
  const problems = failedUnits.map((name) => `${name} has failed`)
  if (boot.SubState !== 'running') problems.push(`after the boot the daemon is ${boot.SubState}`)
  if (boot.NRestarts !== '0') problems.push(`the daemon was started again ${boot.NRestarts} times at boot`)
  if (!readyBeforeBasic) problems.push('the daemon was not ready before basic.target')
  for (const path of files.writable) {
    if (!confinement.writable.includes(path)) problems.push(`the daemon cannot write ${path}`)
  }
  for (const path of files.readOnly) {
    if (confinement.writable.includes(path)) problems.push(`the daemon can write ${path}`)
  }
  if (bump.kernelRandom !== 'snapsafe') problems.push(`the kernel's generator is ${bump.kernelRandom}`)
  if (!afterKill.samePage) problems.push('the daemon that came back made another page')
  if (afterKill.generation !== bump.generation) {
    problems.push(`the daemon came back with generation ${afterKill.generation}, not ${bump.generation}`)
  }
  for (const [when, isSo] of Object.entries(result.toldOnKeptConnection)) {
    if (!isSo) problems.push(`${when}: a connection that systemd kept was told of nothing`)
  }
  if (!result.stubborn.hasNewProcess) problems.push('the stubborn unit was not restarted')
  const { beforeSnapshot } = result
  for (const { generation, degraded, NRestarts } of clones) {
    if (generation !== beforeSnapshot.generation + 1) problems.push(`a clone has generation ${generation}`)
    if (degraded) problems.push('a clone is degraded')
    if (NRestarts !== beforeSnapshot.NRestarts) problems.push('the daemon was started again in a clone')
  }
  for (const [check, verdict] of Object.entries(doctor)) {
    if (verdict !== 'ok') problems.push(`doctor says ${verdict} of ${check}`)
  }
  return problems
}
