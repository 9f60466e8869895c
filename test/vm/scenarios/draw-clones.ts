import type { LogEntry, State } from 'snapsafe/protocol'
import { bootGuest } from '../framework/boot-guest.ts'
import type { Guest } from '../framework/guest.ts'
import type { GuestSnapshot } from '../framework/guest-snapshot.ts'
import { compareDraws, type LoopComparison, type OfLoops } from './compare-draws.ts'
import {
  drawLoopTrees,
  endDrawLoops,
  type LoopProgress,
  readRecords,
  startDrawLoops,
  workload,
} from './draw-loops.ts'
import type { DrawRecords } from './draw-ring.ts'
import type { ScenarioOptions } from './scenario.ts'
import { snapsafe, startDaemon } from './snapsafe-guest.ts'
import { snapsafeTrees } from './snapsafe-tree.ts'

const config = `[freeze]\ngroups = ["${workload}"]\n`
const readyTimeout = '45s'

/** A clone of a guest with the draw loops, after its restore. */
export interface DrawClone {
  readonly state: State
  /** The last entry of its log: the restore. */
  readonly log: LogEntry
  readonly records: OfLoops<DrawRecords>
}

/** What is said of such a clone. */
export interface DrawCloneReport {
  readonly generation: number
  readonly phase: string
  /** Of what its loops drew after the restore, how much another clone has as well. */
  readonly equalResults: number
  /** Steps that its loops began after the restore, with the old generation on the page. */
  readonly loopStepsBeforeBump: number
  readonly loops: OfLoops<LoopComparison>
  readonly log: LogEntry
}

/** Boots a guest in which a daemon that may freeze the loops runs, and both loops draw. */
export async function bootDrawGuest({ kernel, onProgress, signal }: ScenarioOptions): Promise<Guest> {
  const shared = { ...(onProgress && { onProgress }), ...(signal && { signal }) }
  const trees = [...snapsafeTrees(), ...(await drawLoopTrees(signal))]
  const guest = await bootGuest({ kernel, trees, ...shared })
  try {
    await startDaemon(guest, { config })
    await startDrawLoops(guest)
    return guest
  } catch (error) {
    await guest.close()
    throw error
  }
}

/**
 * Makes one more clone, with a VMGenID of its own, and leaves it alone: it has to find out by itself that it is one. `since`:
 * how far the loops were before the snapshot.
 */
export async function makeDrawClone(
  snapshot: GuestSnapshot,
  since: OfLoops<LoopProgress>,
  signal?: AbortSignal,
): Promise<DrawClone> {
  await using clone = await snapshot.clone({ ...(signal && { signal }) })
  const last = await endDrawLoops(clone).catch(async (cause: Error) => {
    const { phase, generation } = await snapsafe<State>(clone, 'status')
    throw new Error(`a clone is ${phase} at generation ${generation}: ${cause.message}`, { cause })
  })
  // The loops have seen the new generation, so this waits for this restore.
  const ready = snapsafe<State>(clone, 'wait', '--timeout', readyTimeout)
  const [state, records] = await Promise.all([ready, readRecords(clone, since, last)])
  const { entries } = await snapsafe<{ entries: LogEntry[] }>(clone, 'log')
  const log = entries.at(-1)
  if (!log) throw new Error('the log of a clone is empty')
  return { state, log, records }
}

/** Lays the clones of one snapshot, which was taken at `before`, side by side. */
export function reportDrawClones(
  clones: readonly DrawClone[],
  before: State,
): { clones: DrawCloneReport[]; equalResults: number } {
  const compared = compareDraws(
    clones.map(({ records }) => records),
    before.generation,
  )
  const reports = compared.clones.map((comparison, index) => {
    const { state, log } = clones[index] as DrawClone
    return { generation: state.generation, phase: state.phase, ...comparison, log }
  })
  return { clones: reports, equalResults: compared.equalResults }
}
