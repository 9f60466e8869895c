import type { State } from 'snapsafe/protocol'
import { bootGuest } from '../framework/boot-guest.ts'
import type { Scenario, ScenarioResult } from './scenario.ts'
import { snapsafe, startDaemon } from './snapsafe-guest.ts'
import { snapsafeTrees } from './snapsafe-tree.ts'

export interface RestoreWhileDownResult extends ScenarioResult {
  readonly before: Pick<State, 'generation' | 'generationId'>
  /** What the next daemon says, in each clone. */
  readonly after: readonly Pick<State, 'generation' | 'generationId' | 'cause' | 'phase'>[]
  /** After one more restart, with no restore in between. */
  readonly generationAfterRestart: number
}

/** The daemon is killed, the guest is cloned, and the next daemon finds the restore in the kernel's log. */
export const restoreWhileDown: Scenario<RestoreWhileDownResult> = {
  name: 'restore-while-down',
  summary: 'a guest is cloned while its daemon is dead; the next daemon finds the restore, once',

  async run({ kernel, clones, onProgress, signal }): Promise<RestoreWhileDownResult> {
    const say = onProgress ?? (() => {})
    await using guest = await bootGuest({
      kernel,
      trees: snapsafeTrees(),
      onProgress: say,
      ...(signal && { signal }),
    })
    await startDaemon(guest)
    const { generation, generationId } = await snapsafe<State>(guest, 'status')
    say('killing the daemon, and taking a snapshot')
    await guest.kill('snapsafed', 'SIGKILL')
    await guest.waitExit('snapsafed', {})
    await using snapshot = await guest.snapshot()

    const after: RestoreWhileDownResult['after'][number][] = []
    let generationAfterRestart = -1
    for (let number = 1; number <= clones; number++) {
      say(`clone ${number} of ${clones}: starting a daemon`)
      await using clone = await snapshot.clone({ ...(signal && { signal }) })
      await startDaemon(clone, { name: 'snapsafed-2' })
      const state = await snapsafe<State>(clone, 'wait', '--timeout', '30s')
      after.push({
        generation: state.generation,
        generationId: state.generationId,
        cause: state.cause,
        phase: state.phase,
      })
      await clone.stop('snapsafed-2', {})
      await startDaemon(clone, { name: 'snapsafed-3' })
      generationAfterRestart = (await snapsafe<State>(clone, 'status')).generation
    }
    const result = { before: { generation, generationId }, after, generationAfterRestart }
    const problems = findProblems(result)
    return { ok: problems.length === 0, problems, ...result }
  },
}

function findProblems({
  before,
  after,
  generationAfterRestart,
}: Omit<RestoreWhileDownResult, 'ok' | 'problems'>): string[] {
  const problems: string[] = []
  for (const { generation, cause } of after) {
    if (generation !== before.generation + 1)
      problems.push(`the next daemon came to generation ${generation}`)
    if (cause !== 'clone') problems.push(`the next daemon names ${cause} as the cause`)
  }
  const ids = [before, ...after].map(({ generationId }) => generationId)
  if (new Set(ids).size !== ids.length) problems.push('two of the ids are the same')
  if (generationAfterRestart !== before.generation + 1) {
    problems.push(`a restart without a restore led to generation ${generationAfterRestart}`)
  }
  return problems
}
