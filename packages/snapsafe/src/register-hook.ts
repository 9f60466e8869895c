import { adjust } from './adjust.ts'
import type { Hook, HookOptions, RestoreEvent, RestoreHook } from './hook.ts'
import { addHook, budgetMs, removeHook } from './hook-list.ts'
import { checkName, checkStage, checkTimeout, nextName } from './hook-options.ts'
import { findPage, readGeneration, runtimeDir } from './local-page.ts'
import type { State, WatchEvent } from './protocol/interface.generated.ts'
import { socketPath } from './protocol/paths.ts'
import { WatchLink } from './protocol/watch-link.ts'
import { nextRegistrationUsec } from './registration-time.ts'
import { whenAborted } from './when-aborted.ts'

const defaultTimeoutMs = 10_000

/** What one kind of hook has and another has not. */
export interface HookKind {
  /** Whether the machine waits for it. */
  readonly tracked: boolean
  /** Whether it is asked before planned snapshots. */
  readonly beforeSnapshot: boolean
  /** Adjusts to a restore; what it returns is awaited. */
  readonly adjust: (event: RestoreEvent) => unknown
  /** Told of every event of the daemon, before the hook is made to adjust to it. */
  readonly hear?: (hook: Hook, event: WatchEvent, state: State) => void
}

/** Checks the options, and makes a hook that is a watcher at the daemon until it is closed. */
export function registerHook(options: HookOptions, kind: HookKind): RestoreHook {
  const { timeoutMs = defaultTimeoutMs, stage = 'application', signal } = options
  checkTimeout(timeoutMs)
  checkStage(stage)
  if (options.name !== undefined) checkName(options.name)
  signal?.throwIfAborted()
  const { tracked, beforeSnapshot } = kind
  const name = options.name ?? nextName()
  const closed = new AbortController()
  let problem: Error | undefined
  let connected = false
  let known = false
  /** What the daemon waits for, as far as is known; an object of its own each time that it asks. */
  let debt: object | undefined
  let settleRegistered = { resolve: () => {}, reject: (_reason: unknown) => {} }
  const registered = new Promise<void>((resolve, reject) => {
    settleRegistered = { resolve, reject }
  })
  // Nobody has to look at it.
  registered.catch(() => {})

  const hook: Hook = {
    name,
    stage,
    handler: kind.adjust,
    timeoutMs,
    closed: closed.signal,
    // A hook that is registered now has nothing to adjust: what it looks after was made in the generation of the page.
    adjustedTo: findPage() && readGeneration(),
    failed: undefined,
    confirm: (generation, failure) => void pay(link.confirm(generation, failure)),
    confirmQuiesce: (quiesce, veto) => void pay(link.confirmQuiesce(quiesce, veto)),
  }
  addHook(hook)
  const link = new WatchLink({
    path: socketPath(runtimeDir),
    name,
    tracked,
    deadlineMs: () => budgetMs(hook),
    adjustedTo: () => hook.adjustedTo,
    about: { stage, beforeSnapshot, registeredAtUsec: nextRegistrationUsec() },
    onEvent(event, state, outdated) {
      const isTurn = outdated || event === 'generation'
      if (isTurn || event === 'quiesce') debt = {}
      hook.adjustedTo ??= state.generation
      kind.hear?.(hook, event, state)
      if (event === 'registered' || event === 'generation') void adjust(hook, state, isTurn)
    },
    onLink(lost) {
      connected = lost === undefined
      problem = lost
      // Neither a page nor a daemon: if it begins with another generation than the first, this missed a restore.
      if (lost) hook.adjustedTo ??= 0
      else {
        known = true
        settleRegistered.resolve()
      }
    },
  })
  const forget = signal && whenAborted(signal, close)

  async function pay(delivered: Promise<boolean>): Promise<void> {
    const paid = debt
    if ((await delivered) && debt === paid) debt = undefined
  }

  function close(): void {
    if (closed.signal.aborted) return
    forget?.()
    removeHook(hook)
    connected = false
    closed.abort(signal?.aborted ? signal.reason : undefined)
    // The daemon may be about to ask this hook, which is of a later stage.
    if (tracked && (debt || hook.adjustedTo !== readGeneration())) link.leave()
    else link.close()
    settleRegistered.reject(closed.signal.reason)
  }

  return Object.freeze({
    name,
    get connected() {
      return connected
    },
    get problem() {
      return problem
    },
    get registered() {
      if (!known) link.hold()
      return registered
    },
    close,
    [Symbol.dispose]: close,
  })
}
