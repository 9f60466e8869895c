import type { PageSnapshot } from 'snapsafe/protocol'
import { beginWith, type OrchestratorState } from '../orchestrator/state.ts'
import type { Config } from './config.ts'
import type { DaemonState } from './state-file.ts'

/**
 * How long the tracked watchers of the daemon before have to come back, before `ready` is said without them: more than the
 * longest pause between two tries of the library (1.5 s), and the start of this daemon.
 */
const reconnectGraceMs = 2500

/** The state to begin with: that of the page, with what the daemon before this one left to say about it. */
export function beginning(
  page: PageSnapshot,
  left: DaemonState | undefined,
  config: Config,
  nowNs: bigint,
): OrchestratorState {
  const nowUsec = Number(nowNs / 1000n)
  // The page is written first, so a daemon that was killed in between leaves a file about an earlier generation.
  const about = left?.generation === page.generation ? left : undefined
  const interrupted = page.phase !== 'running'
  return beginWith({
    generation: page.generation,
    generationId: page.id,
    phase: interrupted ? 'adjusting' : 'running',
    cause: about?.cause ?? (page.generation === 0 ? 'boot' : 'ambiguous'),
    reason: about?.reason,
    evidence: about?.evidence ?? [],
    kernelRandom: about?.kernelRandom ?? (page.generation === 0 ? 'boot' : 'unproven'),
    changedAtUsec: Number(page.changedAtNs / 1000n),
    readyAtUsec: interrupted ? undefined : (about?.readyAtUsec ?? nowUsec),
    holdUntilUsec: nowUsec + (interrupted || page.trackedWatchers > 0 ? reconnectGraceMs * 1000 : 0),
    limits: { maxDeadlineMs: config.watchers.max_deadline },
  })
}
