import type { Evidence, State, Watcher } from 'snapsafe/protocol'
import { bootGuest } from '../framework/boot-guest.ts'
import type { Guest } from '../framework/guest.ts'
import { guestUserId } from '../framework/guest-system.ts'
import { countEqual, type Values } from './equal-values.ts'
import type { Scenario, ScenarioOptions, ScenarioResult } from './scenario.ts'
import { type AfterRestore, snapsafe, startDaemon, untilReady } from './snapsafe-guest.ts'
import { guestPrograms, snapsafeTrees } from './snapsafe-tree.ts'

/** More than one batch of randomUUID's cache (128), so that what comes after it is seen as well. */
const drawCount = 200
/** Drawn before the snapshot, so that caches are filled and partly used, as in a program that has been at work. */
const drawnBefore = 10
const drawTimeoutMs = 60_000

export interface CloneReport {
  readonly before: { readonly generation: number; readonly generationId: string }
  readonly after: { readonly generation: number; readonly generationId: string }
  readonly cause: string
  readonly evidence: readonly Evidence[]
  readonly kernelRandom: string
  readonly degraded: boolean
  /** From the change of the page to ready, by the guest's clock. */
  readonly adjustingMs: number
  readonly watchers: readonly Pick<Watcher, 'name' | 'pid' | 'uid' | 'tracked' | 'adjustedTo' | 'owing'>[]
  readonly values: { readonly guarded: Values; readonly ordinary: Values }
}

export interface UnplannedCloneResult extends ScenarioResult {
  readonly kernel: string
  readonly clones: readonly CloneReport[]
  /** Of each kind, how many values are found in more than one clone. */
  readonly equal: { readonly guarded: Record<string, number>; readonly ordinary: Record<string, number> }
}

/** A snapshot that nobody told the guest of: everything runs at the restore, and the guest finds out by itself. */
export const unplannedClone: Scenario<UnplannedCloneResult> = {
  name: 'unplanned-clone',
  summary:
    'a running guest is snapshotted and cloned; an ordinary and a guarded program are compared across the clones',

  async run(options: ScenarioOptions): Promise<UnplannedCloneResult> {
    const { onProgress, kernel, signal } = options
    const say = onProgress ?? (() => {})
    await using guest = await bootGuest({
      kernel,
      trees: snapsafeTrees(),
      onProgress: say,
      ...(signal && { signal }),
    })
    const release = (await guest.run(['uname', '-r'])).trim()
    say(`guest runs Linux ${release}; starting snapsafed, an ordinary and a guarded program`)
    const before = await prepare(guest)
    say(`taking the snapshot at generation ${before.generation}`)
    await using snapshot = await guest.snapshot()

    const clones: CloneReport[] = []
    for (let number = 1; number <= options.clones; number++) {
      say(`clone ${number} of ${options.clones}: starting, with a VMGenID of its own`)
      await using clone = await snapshot.clone({ ...(signal && { signal }) })
      const after = await untilReady(clone, before.generation)
      say(`clone ${number}: generation ${after.state.generation}, ready; asking both programs`)
      clones.push(report(before, after, await draw(clone)))
    }
    const equal = {
      guarded: countEqual(clones.map(({ values }) => values.guarded)),
      ordinary: countEqual(clones.map(({ values }) => values.ordinary)),
    }
    const problems = findProblems(clones, equal)
    return { ok: problems.length === 0, problems, kernel: release, clones, equal }
  },
}

async function prepare(guest: Guest): Promise<State> {
  await startDaemon(guest)
  await guest.start('ordinary', ['node', guestPrograms.ordinary], { uid: guestUserId })
  await guest.start('guarded', ['node', guestPrograms.guarded], { uid: guestUserId })
  for (const name of ['ordinary', 'guarded']) await ask(guest, name, drawnBefore)
  return snapsafe<State>(guest, 'status')
}

async function draw(guest: Guest): Promise<CloneReport['values']> {
  const ordinary = await ask(guest, 'ordinary', drawCount)
  return { ordinary, guarded: await ask(guest, 'guarded', drawCount) }
}

async function ask(guest: Guest, name: string, count: number): Promise<Values> {
  const line = await guest.ask(name, JSON.stringify({ count }), { timeoutMs: drawTimeoutMs })
  const { generation: _, ...values } = JSON.parse(line)
  return values
}

function report(
  before: State,
  { state, watchers }: AfterRestore,
  values: CloneReport['values'],
): CloneReport {
  return {
    before: { generation: before.generation, generationId: before.generationId },
    after: { generation: state.generation, generationId: state.generationId },
    cause: state.cause,
    evidence: state.evidence,
    kernelRandom: state.kernelRandom,
    degraded: state.degraded,
    adjustingMs: ((state.readyAtUsec ?? Number.NaN) - state.changedAtUsec) / 1000,
    watchers: watchers.map(({ name, pid, uid, tracked, adjustedTo, owing }) => ({
      name,
      pid,
      uid,
      tracked,
      adjustedTo,
      owing,
    })),
    values,
  }
}

function findProblems(clones: readonly CloneReport[], equal: UnplannedCloneResult['equal']): string[] {
  const problems: string[] = []
  for (const [index, { before, after, degraded, watchers, kernelRandom }] of clones.entries()) {
    const who = `clone ${index + 1}`
    if (after.generation !== before.generation + 1) {
      problems.push(`${who} went from generation ${before.generation} to ${after.generation}`)
    }
    if (after.generationId === before.generationId) problems.push(`${who} kept its generation id`)
    if (degraded) problems.push(`${who} is degraded`)
    if (kernelRandom !== 'kernel') problems.push(`${who}: the kernel's generator is ${kernelRandom}`)
    const tracked = watchers.filter((watcher) => watcher.tracked)
    if (!tracked.some(({ name }) => name === 'session-keys')) problems.push(`${who} lost the guarded watcher`)
    for (const { name, owing, adjustedTo } of tracked) {
      if (owing !== 'no' || adjustedTo !== after.generation) problems.push(`${who}: ${name} has not adjusted`)
    }
  }
  const ids = clones.map(({ after }) => after.generationId)
  if (new Set(ids).size !== ids.length) problems.push('two clones have the same generation id')
  for (const [kind, count] of Object.entries(equal.guarded)) {
    if (count > 0) problems.push(`${count} guarded values of ${kind} are in more than one clone`)
  }
  const repeated = Object.values(equal.ordinary).some((count) => count > 0)
  if (clones.length > 1 && !repeated)
    problems.push('the ordinary program repeated nothing: this shows nothing')
  return problems
}
