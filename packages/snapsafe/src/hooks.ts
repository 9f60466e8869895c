import { channel } from 'node:diagnostics_channel'
import { basename } from 'node:path'
import { threadId } from 'node:worker_threads'
import { generation, readGeneration, refreshPage, renewFor } from './generation.ts'
import { settleProcessRandom } from './process-random.ts'
import type { Cause, State } from './protocol/interface.generated.ts'
import { runtimeDirOf, socketPath } from './protocol/paths.ts'
import { WatchLink } from './protocol/watch-link.ts'
import { runHook } from './run-hook.ts'

const defaultTimeoutMs = 10_000
/** How much of an error's message is told to the daemon. */
const maxFailureChars = 500

/** Publishes `{ name, generation, outcome: 'confirmed' | 'failed' | 'superseded', error? }` when a hook has ended. */
export const hookChannel = channel('snapsafe:hook')

/** What a hook is told of a restore. */
export interface RestoreEvent {
  /** The generation to adjust to. */
  readonly generation: number
  /** 32 hexadecimal digits, different in every clone; public. */
  readonly id: string
  /** The generation that this hook last adjusted to. */
  readonly previous: number
  readonly cause: Cause
  /** Aborted when the hook's time is up, when a newer generation has come, or when the hook was closed. */
  readonly signal: AbortSignal
}

export interface RestoreHookOptions {
  /** Names the hook to those who wait for it. Default: the program's name and the number of the hook. */
  readonly name?: string
  /** How long the hook may take. Default 10,000 ms. */
  readonly timeoutMs?: number
  /** Removes the hook when aborted. */
  readonly signal?: AbortSignal
  /** Whether the machine waits for this hook before it is ready. Default true. */
  readonly tracked?: boolean
}

/** A registered hook. */
export interface RestoreHook {
  readonly name: string
  /** Whether the daemon knows of the hook at this moment. */
  readonly connected: boolean
  /** Why it does not, at the last attempt. */
  readonly problem: Error | undefined
  /** Resolves when the daemon knows of the hook for the first time. It never rejects, and waits as long as there is no daemon. */
  readonly registered: Promise<void>
  /** Removes the hook; it owes nothing from now on. */
  close(): void
  [Symbol.dispose](): void
}

interface Hook extends Pick<RestoreHook, 'name'> {
  readonly handler: (event: RestoreEvent) => unknown
  readonly timeoutMs: number
  readonly closed: AbortController
  link: WatchLink
  /** Undefined until the daemon has told the current generation to a process that has no page. */
  adjustedTo: number | undefined
  failed: { readonly generation: number; readonly message: string } | undefined
}

/** In the order of registration, which is the order in which they run. */
const hooks = new Set<Hook>()
let counter = 0
/** The restore that hooks are being run for. */
let running: { readonly generation: number; readonly superseded: AbortController } | undefined

/**
 * Runs `handler` after each restore, when the kernel's and this thread's randomness are of this copy already. What the
 * handler returns is awaited, and is the confirmation that the machine waits for before it is ready; a rejection, or a
 * timeout, is reported to the daemon, which names the hook. Hooks of a thread run one after another, in the order of their
 * registration. A restore that happened while the daemon was away is told when it is back.
 *
 * The hook does not keep the process alive. Without a daemon it waits for one; `generation.supported` says so.
 */
export function onRestore(
  handler: (event: RestoreEvent) => unknown,
  options: RestoreHookOptions = {},
): RestoreHook {
  const { timeoutMs = defaultTimeoutMs, tracked = true, signal } = options
  if (typeof handler !== 'function') throw new TypeError('onRestore needs a function')
  if (!(timeoutMs > 0)) throw new RangeError(`timeoutMs is ${timeoutMs}; it must be over 0 milliseconds`)
  signal?.throwIfAborted()
  counter += 1
  const name = options.name ?? defaultName(counter)
  const closed = new AbortController()
  // A hook that is registered now has nothing to adjust: what it looks after was made in the generation of the page.
  const adjustedTo = generation.supported ? readGeneration() : undefined
  let problem: Error | undefined
  let connected = false
  let settleRegistered = () => {}
  const registered = new Promise<void>((resolve) => {
    settleRegistered = resolve
  })
  const hook: Omit<Hook, 'link'> & { link?: WatchLink } = {
    name,
    handler,
    timeoutMs,
    closed,
    adjustedTo,
    failed: undefined,
  }
  hook.link = new WatchLink({
    path: socketPath(runtimeDirOf()),
    name,
    tracked,
    deadlineMs: () => budgetMs(hook as Hook),
    adjustedTo: () => hook.adjustedTo,
    onEvent: (event, state) => {
      hook.adjustedTo ??= state.generation
      if (event !== 'ready') void adjust(hook as Hook, state)
    },
    onLink: (lost) => {
      connected = lost === undefined
      problem = lost
      if (connected) settleRegistered()
    },
  })
  hooks.add(hook as Hook)

  function close(): void {
    signal?.removeEventListener('abort', close)
    hooks.delete(hook as Hook)
    connected = false
    closed.abort()
    hook.link?.close()
  }
  signal?.addEventListener('abort', close, { once: true })

  return Object.freeze({
    name,
    get connected() {
      return connected
    },
    get problem() {
      return problem
    },
    registered,
    close,
    [Symbol.dispose]: close,
  })
}

/** Runs all hooks for the generation of `state`, unless that is done or under way; `asker` is the one that was told. */
async function adjust(asker: Hook, state: State): Promise<void> {
  const target = state.generation
  if (asker.failed?.generation === target) {
    // The daemon that asks is another one than the one that was told.
    void asker.link.confirm(target, asker.failed.message)
    return
  }
  if (asker.adjustedTo === target || running?.generation === target) return
  running?.superseded.abort(new Error('a newer generation came'))
  const mine = { generation: target, superseded: new AbortController() }
  running = mine
  try {
    refreshPage()
    renewFor(target)
    await settleProcessRandom()
    for (const hook of hooks) {
      if (mine.superseded.signal.aborted) return
      if (hook.adjustedTo !== target) await adjustOne(hook, state, mine.superseded.signal)
    }
  } finally {
    if (running === mine) running = undefined
  }
}

async function adjustOne(hook: Hook, state: State, superseded: AbortSignal): Promise<void> {
  const { name, handler, timeoutMs, closed, link } = hook
  const { generation: target, generationId: id, cause } = state
  const event = { generation: target, id, previous: hook.adjustedTo ?? 0, cause }
  const cancelled = AbortSignal.any([superseded, closed.signal])
  const failure = await runHook(handler, event, timeoutMs, cancelled)
  hookChannel.publish({
    name,
    generation: target,
    outcome: failure?.outcome ?? 'confirmed',
    ...(failure && { error: failure.error }),
  })
  if (failure?.outcome === 'superseded') return
  if (failure) {
    const message = String((failure.error as Error | undefined)?.message ?? failure.error).slice(
      0,
      maxFailureChars,
    )
    hook.failed = { generation: target, message }
    void link.confirm(target, message)
  } else {
    hook.adjustedTo = target
    hook.failed = undefined
    void link.confirm(target)
  }
}

/** What the daemon must grant a hook: its own time, and that of those which run before it. */
function budgetMs(hook: Hook): number {
  let ms = 0
  for (const each of hooks) {
    ms += each.timeoutMs
    if (each === hook) break
  }
  return Math.min(Number.MAX_SAFE_INTEGER, Math.ceil(ms))
}

function defaultName(count: number): string {
  const program = basename(process.argv[1] ?? process.execPath)
  return threadId === 0 ? `${program}#${count}` : `${program}/${threadId}#${count}`
}
