import type { PageSnapshot } from 'snapsafe/protocol'
import { declareRestore } from '../orchestrator/restore.ts'
import { beginWith, type OrchestratorState } from '../orchestrator/state.ts'
import type { Config } from './config.ts'
import type { Saved } from './store.ts'

/**
 * What to begin with: what the daemon before this one left or, without that, what the page says. `repaired`: that one died
 * while it wrote the page.
 */
export function beginning(
  page: PageSnapshot,
  left: Saved | undefined,
  config: Config,
  nowNs: bigint,
  repaired = false,
): Saved {
  const { max_deadline, grace } = config.watchers
  const limits = { maxDeadlineMs: max_deadline, graceMs: grace }
  if (knowsPage(left, page)) return { ...left, state: { ...left.state, limits } }
  const nowUsec = Number(nowNs / 1000n)
  const interrupted = page.phase !== 'running'
  const state: OrchestratorState = beginWith({
    generation: page.generation,
    generationId: page.id,
    phase: page.phase === 'quiesced' ? 'quiesced' : interrupted ? 'adjusting' : 'running',
    cause: page.generation === 0 ? 'boot' : 'ambiguous',
    kernelRandom: page.generation === 0 ? 'boot' : 'unproven',
    changedAtUsec: Number(page.changedAtNs / 1000n),
    readyAtUsec: interrupted ? undefined : nowUsec,
    // Nobody knows who they were: all are given the time to come back.
    holdUntilUsec: nowUsec + (interrupted || page.trackedWatchers > 0 ? grace * 1000 : 0),
    limits,
  })
  const detail = doubt(page, repaired)
  const saved = { state, memories: new Map(), credits: new Map() }
  if (detail === undefined) return saved
  // Part of what is begun with, so that nothing is thawed before that restore has its generation, whoever dies meanwhile.
  const evidence = { source: 'page', detail, atUsec: nowUsec }
  const [declared] = declareRestore(state, { nowUsec, cause: 'ambiguous', evidence, kernelReseeded: false })
  return { ...saved, state: declared }
}

/** Why a page that nobody knows anything about may be that of a copy, or of no generation at all. */
function doubt({ phase }: PageSnapshot, repaired: boolean): string | undefined {
  if (repaired) return 'the daemon before this one died while it wrote the page'
  if (phase === 'quiesced') return 'the daemon before this one died in a planned snapshot, and left nothing'
  return undefined
}

/**
 * Whether this was left by the daemon that wrote the page. A file that is behind the page is of a daemon before the last: that
 * one could not write it.
 */
function knowsPage(left: Saved | undefined, page: PageSnapshot): left is Saved {
  return left !== undefined && left.state.generation >= page.generation
}
