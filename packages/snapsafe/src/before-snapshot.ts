import type { RestoreHook } from './hook.ts'
import { registerHook } from './register-hook.ts'
import type { SnapshotEvent, SnapshotHookOptions } from './snapshot-hook.ts'
import { SnapshotPart } from './snapshot-part.ts'

/**
 * Runs `handler` before each planned snapshot: the place to wipe what must not be in it, and to end what must not go on in
 * every copy. What the handler returns is awaited, and the snapshot is not taken before. A handler that throws, rejects, or
 * takes longer than its time vetoes it: all is undone, and who planned the snapshot is told why.
 *
 * Hooks of the whole machine are asked one after another, the one that was registered last first, so that whoever builds on
 * something is asked before it. `afterwards` is the way back. A snapshot that nobody planned cannot be prepared for: the hook
 * then has nothing to do, and confirms the restore.
 *
 * Where the snapshot is over while the handler still runs, its signal is aborted and `afterwards` runs at once: a handler that
 * goes on runs beside it. In the original, those of several hooks run at the same time. A hook that is closed is done, and
 * `afterwards` does not run. Like a hook of `onRestore` it is a tracked watcher, waits for a daemon where there is none, and
 * does not keep the process alive.
 */
export function beforeSnapshot(
  handler: (event: SnapshotEvent) => unknown,
  options: SnapshotHookOptions = {},
): RestoreHook {
  const { afterwards } = options
  if (typeof handler !== 'function') throw new TypeError('beforeSnapshot needs a function')
  if (afterwards !== undefined && typeof afterwards !== 'function') {
    throw new TypeError('afterwards must be a function')
  }
  const part = new SnapshotPart(handler, afterwards)
  return registerHook(options, {
    tracked: true,
    beforeSnapshot: true,
    adjust: (event) => part.adjust(event),
    hear: (hook, event, state) => part.hear(hook, event, state),
  })
}
