import { describeFailure } from './describe-failure.ts'
import type { Hook } from './hook.ts'
import { publishHook } from './hook-channel.ts'
import { findHook } from './hook-list.ts'
import { hearGeneration, refreshPage } from './local-page.ts'
import type { State } from './protocol/interface.generated.ts'
import { randomSettled, renewFor } from './renewal.ts'
import { runHook } from './run-hook.ts'
import { stageRank } from './stages.ts'

/** The restore that hooks are being run for. */
let running: { readonly generation: number; readonly superseded: AbortController } | undefined
/** When the newest generation that any hook was told of began. */
let newestUsec = Number.NEGATIVE_INFINITY
/** The rank of the latest stage that has begun in it, as far as this thread was told. */
let begunRank = -1

/**
 * Runs all hooks for the generation of `state` whose stage has begun, unless that is done or under way. `asker` is the hook
 * that was told; `outdated` says that the daemon did not know it as adjusted then, and that it is its turn.
 */
export async function adjust(asker: Hook, state: State, outdated: boolean): Promise<void> {
  // Each hook has a connection, and one that lags behind tells of what is past. Of the newest it will tell as well.
  if (state.changedAtUsec < newestUsec) return
  if (state.changedAtUsec > newestUsec) begunRank = -1
  newestUsec = state.changedAtUsec
  const target = state.generation
  hearGeneration(target)
  // Where it is not adjusted either, its stage has not begun: it will be told when it has.
  if (!outdated) return
  begunRank = Math.max(begunRank, stageRank(asker.stage))
  if (isDone(asker, target)) {
    // The daemon that asks is another one than the one that was told, or was told before this connection was known to it.
    asker.confirm(target, asker.failed?.message)
    return
  }
  if (running?.generation === target) return
  running?.superseded.abort(new Error('a newer generation came'))
  const mine = { generation: target, superseded: new AbortController() }
  running = mine
  try {
    refreshPage()
    renewFor(target)
    await randomSettled()
    // Looked for anew each time: meanwhile the next stage may have begun.
    for (let hook = nextHook(target); hook !== undefined; hook = nextHook(target)) {
      if (mine.superseded.signal.aborted) return
      await adjustOne(hook, state, mine.superseded.signal)
    }
  } finally {
    if (running === mine) running = undefined
  }
}

function nextHook(target: number): Hook | undefined {
  return findHook((hook) => stageRank(hook.stage) <= begunRank && !isDone(hook, target))
}

function isDone(hook: Hook, target: number): boolean {
  return hook.adjustedTo === target || hook.failed?.generation === target
}

async function adjustOne(hook: Hook, state: State, superseded: AbortSignal): Promise<void> {
  const { name, handler, timeoutMs, closed } = hook
  const { generation, generationId: id, cause } = state
  const event = { generation, id, previous: hook.adjustedTo ?? 0, cause }
  const failure = await runHook(handler, event, timeoutMs, AbortSignal.any([superseded, closed]))
  const outcome = failure?.outcome ?? 'confirmed'
  publishHook({ name, generation, outcome, ...(failure && { error: failure.error }) })
  if (failure?.outcome === 'superseded') return
  if (failure) {
    const message = describeFailure(failure.error)
    hook.failed = { generation, message }
    hook.confirm(generation, message)
  } else {
    hook.adjustedTo = generation
    hook.failed = undefined
    hook.confirm(generation)
  }
}
