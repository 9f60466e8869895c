import { basename } from 'node:path'
import { threadId } from 'node:worker_threads'
import { addHook, adjust, budgetMs, removeHook } from './adjust.ts'
import type { Hook, RestoreEvent, RestoreHook, RestoreHookOptions } from './hook.ts'
import { findPage, readGeneration, runtimeDir } from './local-page.ts'
import { socketPath } from './protocol/paths.ts'
import { WatchLink } from './protocol/watch-link.ts'
import { whenAborted } from './when-aborted.ts'

const defaultTimeoutMs = 10_000
/** setTimeout takes no more. */
const maxTimeoutMs = 2 ** 31 - 1
/** The daemon takes no more. */
const maxNameChars = 128
/** Names are shown on terminals and in logs. */
const unprintable = /\p{C}/u

let counter = 0

/**
 * Runs `handler` after each restore, when the kernel's and this thread's randomness are of this copy already. What the
 * handler returns is awaited, and is the confirmation that the machine waits for before it is ready; a rejection, or a
 * timeout, is reported to the daemon, which names the hook. Hooks of a thread run one after another, in the order of their
 * registration. A restore that happened while the daemon was away is told when it is back. The daemon gives the hooks of a
 * thread the sum of their times, and no more than its own `max_deadline` (60 s by default): who takes longer is named.
 *
 * When a newer generation comes, hooks begin anew at once: a handler that goes on although its signal was aborted runs
 * beside its successor. The hook does not keep the process alive, unless somebody waits for `registered` or the handler is
 * running. Without a daemon it waits for one; `generation.supported` says so.
 */
export function onRestore(
  handler: (event: RestoreEvent) => unknown,
  options: RestoreHookOptions = {},
): RestoreHook {
  const { timeoutMs = defaultTimeoutMs, tracked = true, signal } = options
  if (typeof handler !== 'function') throw new TypeError('onRestore needs a function')
  checkTimeout(timeoutMs)
  if (options.name !== undefined) checkName(options.name)
  signal?.throwIfAborted()
  counter += 1
  const name = options.name ?? defaultName(counter)
  const closed = new AbortController()
  let problem: Error | undefined
  let connected = false
  let known = false
  let settleRegistered = { resolve: () => {}, reject: (_reason: unknown) => {} }
  const registered = new Promise<void>((resolve, reject) => {
    settleRegistered = { resolve, reject }
  })
  // Nobody has to look at it.
  registered.catch(() => {})

  const hook: Hook = {
    name,
    handler,
    timeoutMs,
    closed: closed.signal,
    // A hook that is registered now has nothing to adjust: what it looks after was made in the generation of the page.
    adjustedTo: findPage() && readGeneration(),
    failed: undefined,
    confirm: (generation, failure) => void link.confirm(generation, failure),
  }
  addHook(hook)
  const link = new WatchLink({
    path: socketPath(runtimeDir),
    name,
    tracked,
    deadlineMs: () => budgetMs(hook),
    adjustedTo: () => hook.adjustedTo,
    onEvent(event, state, outdated) {
      hook.adjustedTo ??= state.generation
      if (event !== 'ready') void adjust(hook, state, outdated)
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

  function close(): void {
    if (closed.signal.aborted) return
    forget?.()
    removeHook(hook)
    connected = false
    closed.abort(signal?.aborted ? signal.reason : undefined)
    link.close()
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

function checkTimeout(timeoutMs: number): void {
  if (timeoutMs > 0 && timeoutMs <= maxTimeoutMs) return
  throw new RangeError(
    `timeoutMs is ${timeoutMs}; it must be over 0 and at most ${maxTimeoutMs} milliseconds`,
  )
}

function checkName(name: string): void {
  if (typeof name !== 'string') throw new TypeError('the name of a hook must be a string')
  if (name.length > 0 && name.length <= maxNameChars && !unprintable.test(name)) return
  throw new RangeError(`the name of a hook must have 1 to ${maxNameChars} printable characters`)
}

function defaultName(count: number): string {
  const suffix = threadId === 0 ? `#${count}` : `/${threadId}#${count}`
  const program = basename(process.argv[1] ?? process.execPath).slice(0, maxNameChars - suffix.length)
  return program.replaceAll(/\p{C}/gu, '?') + suffix
}
