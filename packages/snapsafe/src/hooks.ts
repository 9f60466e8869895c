import type { RestoreEvent, RestoreHook, RestoreHookOptions } from './hook.ts'
import { registerHook } from './register-hook.ts'

/**
 * Runs `handler` after each restore, when the kernel's and this thread's randomness are of this copy already. What the
 * handler returns is awaited, and is the confirmation that the machine waits for before it is ready; a rejection, or a
 * timeout, is reported to the daemon, which names the hook. Hooks of a thread run one after another: by stage, and within a
 * stage in the order of their registration. A restore that happened while the daemon was away is told when it is back. The
 * daemon gives the hooks that a thread has in a stage the sum of their times, and no more than its own `max_deadline` (60 s by
 * default): who takes longer is named.
 *
 * When a newer generation comes, hooks begin anew at once: a handler that goes on although its signal was aborted runs
 * beside its successor. The hook does not keep the process alive, unless somebody waits for `registered` or the handler is
 * running. Without a daemon it waits for one; `generation.supported` says so.
 */
export function onRestore(
  handler: (event: RestoreEvent) => unknown,
  options: RestoreHookOptions = {},
): RestoreHook {
  if (typeof handler !== 'function') throw new TypeError('onRestore needs a function')
  return registerHook(options, { tracked: options.tracked ?? true, beforeSnapshot: false, adjust: handler })
}
