import { channel } from 'node:diagnostics_channel'
import { describeFailure } from './describe-failure.ts'
import type { Hook } from './hook.ts'
import { hearGeneration, refreshPage } from './local-page.ts'
import type { State } from './protocol/interface.generated.ts'
import { randomSettled, renewFor } from './renewal.ts'
import { runHook } from './run-hook.ts'

/** What a hook that has used up its time needs to say so before the daemon names it for saying nothing. */
const reportMs = 1000

/** Publishes `{ name, generation, outcome: 'confirmed' | 'failed' | 'superseded', error? }` when a hook has ended. */
const hookChannel = channel('snapsafe:hook')

/** In the order of registration, which is the order in which they run. */
const hooks = new Set<Hook>()
/** The restore that hooks are being run for. */
let running: { readonly generation: number; readonly superseded: AbortController } | undefined
/** When the newest generation that any hook was told of began. */
let newestUsec = Number.NEGATIVE_INFINITY

export function addHook(hook: Hook): void {
  hooks.add(hook)
}

export function removeHook(hook: Hook): void {
  hooks.delete(hook)
}

/** What the daemon must grant a hook: its own time, and that of those which run before it. */
export function budgetMs(hook: Hook): number {
  let ms = reportMs
  for (const each of hooks) {
    ms += each.timeoutMs
    if (each === hook) break
  }
  return Math.ceil(ms)
}

/**
 * Runs all hooks for the generation of `state`, unless that is done or under way. `asker` is the hook that was told;
 * `outdated` says that the daemon did not know it as adjusted then.
 */
export async function adjust(asker: Hook, state: State, outdated: boolean): Promise<void> {
  // Each hook has a connection, and one that lags behind tells of what is past. Of the newest it will tell as well.
  if (state.changedAtUsec < newestUsec) return
  newestUsec = state.changedAtUsec
  const target = state.generation
  hearGeneration(target)
  if (isDone(asker, target)) {
    // The daemon that asks is another one than the one that was told, or was told before this connection was known to it.
    if (outdated) asker.confirm(target, asker.failed?.message)
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
    for (const hook of hooks) {
      if (mine.superseded.signal.aborted) return
      if (!isDone(hook, target)) await adjustOne(hook, state, mine.superseded.signal)
    }
  } finally {
    if (running === mine) running = undefined
  }
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
  hookChannel.publish({ name, generation, outcome, ...(failure && { error: failure.error }) })
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
