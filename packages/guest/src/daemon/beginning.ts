import type { PageSnapshot } from 'snapsafe/protocol'
import { beginWith, type OrchestratorState } from '../orchestrator/state.ts'
import type { Config } from './config.ts'
import type { Saved } from './store.ts'

/** What to begin with: what the daemon before this one left or, without that, what the page says. */
export function beginning(page: PageSnapshot, left: Saved | undefined, config: Config, nowNs: bigint): Saved {
  const { max_deadline, grace } = config.watchers
  const limits = { maxDeadlineMs: max_deadline, graceMs: grace }
  // A file that is behind the page is of a daemon before the last: that one could not write it.
  if (left && left.state.generation >= page.generation) return { ...left, state: { ...left.state, limits } }
  const nowUsec = Number(nowNs / 1000n)
  const interrupted = page.phase !== 'running'
  const state: OrchestratorState = beginWith({
    generation: page.generation,
    generationId: page.id,
    phase: interrupted ? 'adjusting' : 'running',
    cause: page.generation === 0 ? 'boot' : 'ambiguous',
    kernelRandom: page.generation === 0 ? 'boot' : 'unproven',
    changedAtUsec: Number(page.changedAtNs / 1000n),
    readyAtUsec: interrupted ? undefined : nowUsec,
    // Nobody knows who they were: all are given the time to come back.
    holdUntilUsec: nowUsec + (interrupted || page.trackedWatchers > 0 ? grace * 1000 : 0),
    limits,
  })
  return { state, memories: new Map(), credits: new Map() }
}
