import { setTimeout as delay } from 'node:timers/promises'
import type { Methods, ServerCall } from 'snapsafe/protocol'
import { serviceErrors } from 'snapsafe/protocol'
import type { OrchestratorState } from '../orchestrator/state.ts'
import type { SourceEvidence } from '../sources/source.ts'
import type { ApiContext } from './api.ts'
import { viewState } from './view.ts'

const maxRestoreIdChars = 128
/** RNDADDENTROPY takes no more at once. */
const maxSeedBytes = 512
/** How long after a planned snapshot's restore the host may still be speaking of that one. */
const lateWordUsec = 60_000_000
/** Making the kernel unique takes a quarter of a second at most; the rest is for a loaded machine. */
const endDeadlineMs = 30_000

type ResumeCall = ServerCall<Methods['Resume']['parameters'], Methods['Resume']['reply']>

/** Resume: goes on after a planned snapshot, in a new generation where this is a copy. */
export async function resume(call: ResumeCall, context: ApiContext): Promise<void> {
  const { manager, kernelRandom, sampleSources, caller } = context
  const { restored, restoreId, seed } = checked(call)
  if (seed) kernelRandom.addSeed(seed)
  const before = manager.state
  try {
    // This restore is to be seen once: what sources know of it is merged with what the host says.
    sampleSources()
    const isNamed = restoreId !== undefined && restoreId !== before.restoreId
    if (restored === true && restoreId === undefined ? !hasMoved(before, manager.state) : isNamed) {
      takeWord(context, restoreId)
    } else if (restored === undefined) await lookAgain(context, call.signal)

    const nowUsec = manager.nowUsec()
    manager.dispatch({
      type: 'resume',
      nowUsec,
      outcome: 'resumed',
      detail: 'there was no sign of a restore',
    })
    await untilRunning(context, call.signal)
    const isCopy = wasRestored(before, manager.state)
    // The restore was known, and had its reseed, before these bytes came.
    if (isCopy && kernelRandom.hasSeed) await kernelRandom.makeUnique()
    call.reply({ restored: isCopy, state: viewState(manager.state, caller) })
  } finally {
    kernelRandom.forgetSeed()
  }
}

/** What the host says of a restore: news or, where the planned snapshot has ended in one already, one more sign of that. */
function takeWord({ manager }: ApiContext, restoreId: string | undefined): void {
  const evidence = hostEvidence(restoreId)
  const named = restoreId === undefined ? {} : { restoreId }
  const nowUsec = manager.nowUsec()
  if (isLateWord(manager.state, nowUsec)) {
    const { source, detail } = evidence
    manager.dispatch({ type: 'evidence', nowUsec, evidence: { source, detail, atUsec: nowUsec }, ...named })
  } else manager.report(evidence, named)
}

/**
 * A planned snapshot has ended in a restore that a source, or the deadline of the thaw, has told of, and the host has not spoken of
 * it yet. It speaks soon: what it says much later is taken for another restore, because two must never be taken for one.
 */
function isLateWord({ log, evidence, changedAtUsec, snapshot }: OrchestratorState, nowUsec: number): boolean {
  if (snapshot || nowUsec - changedAtUsec > lateWordUsec) return false
  const steps = log.at(-1)?.steps.map(({ step }) => step) ?? []
  const isOfSnapshot = steps.includes('quiesce-requested') && steps.includes('restore-declared')
  return isOfSnapshot && !evidence.some(({ source }) => source === 'host')
}

function checked({ parameters }: ResumeCall): { restored?: boolean; restoreId?: string; seed?: Buffer } {
  const { restored, restoreId, seed } = parameters
  if (restoreId != null) {
    const isName = restoreId.length > 0 && restoreId.length <= maxRestoreIdChars && !/\p{C}/u.test(restoreId)
    if (!isName || restored === false) throw serviceErrors.invalidParameter('restoreId')
  }
  if (seed != null && !(/^(?:[0-9a-fA-F]{2})+$/.test(seed) && seed.length <= 2 * maxSeedBytes)) {
    throw serviceErrors.invalidParameter('seed')
  }
  return {
    ...(restored != null && { restored }),
    ...(restoreId != null && { restoreId }),
    ...(seed != null && { seed: Buffer.from(seed, 'hex') }),
  }
}

function hostEvidence(restoreId: string | undefined): SourceEvidence {
  return {
    source: 'host',
    kind: restoreId === undefined ? 'edge' : 'identity',
    cause: 'host',
    detail: restoreId === undefined ? 'the host says that this is a copy' : `the host names it ${restoreId}`,
    kernelReseeded: false,
  }
}

/** Sources speak some time after the first instruction of a copy: nothing is thawed before they had the time. */
async function lookAgain(
  { manager, config, log, sources, sampleSources }: ApiContext,
  signal: AbortSignal,
): Promise<void> {
  if (!manager.state.snapshot || manager.state.pending) return
  if (!sources.list().some(({ status }) => status === 'working'))
    log.warning('no source can see a restore here, and the host does not say: this is taken for the original')
  await delay(config.freeze.settle, undefined, { signal }).catch(() => undefined)
  sampleSources()
}

/** Resolves when nothing is frozen any more, in the generation that a restore leads to. */
function untilRunning({ manager }: ApiContext, signal: AbortSignal): Promise<void> {
  const isRunning = (): boolean => !manager.state.snapshot && !manager.state.pending
  if (isRunning()) return Promise.resolve()
  return new Promise((resolve, reject) => {
    const unsubscribe = manager.audience.subscribe(() => {
      if (isRunning()) end(resolve)
    })
    const late = (): void => end(() => reject(new Error('the restore has not led to a generation in time')))
    const timer = setTimeout(late, endDeadlineMs)
    const gone = (): void => end(resolve)
    signal.addEventListener('abort', gone, { once: true })
    function end(settle: () => void): void {
      unsubscribe()
      clearTimeout(timer)
      signal.removeEventListener('abort', gone)
      settle()
    }
  })
}

function hasMoved(before: OrchestratorState, now: OrchestratorState): boolean {
  return now.pending !== undefined || now.generation !== before.generation
}

/** Whether the planned snapshot that this was about has led to a copy, now or before the host spoke. */
function wasRestored(before: OrchestratorState, now: OrchestratorState): boolean {
  if (now.generation !== before.generation) return true
  const steps = before.log.at(-1)?.steps.map(({ step }) => step) ?? []
  // Not the steps that are noted when they are done: a daemon may have died in between, and the next one does not know when.
  return steps.includes('quiesce-requested') && steps.includes('restore-declared')
}
