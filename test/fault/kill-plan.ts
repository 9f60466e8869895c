import { join } from 'node:path'

/** At which step the preload kill-at.mjs kills a daemon. */
export interface KillPlan {
  /** What begins the count: the daemon's start, or a call of ListSources, which nothing here has another use for. */
  readonly armedBy: 'start' | 'call'
  /** The first step is 1. */
  readonly at: number
  readonly when: 'before' | 'after'
  /**
   * all: every write to a file, the page, a cgroup or a connection. coarse: of an update of the page only the first store and
   * the last. replies: only what goes to connections.
   */
  readonly steps: 'all' | 'coarse' | 'replies'
  /** Counts only the steps that have this in their description, as a failure shows it. */
  readonly having?: string
}

const preload = join(import.meta.dirname, 'kill-at.mjs')

/** What starts a daemon with the preload. */
export const killLauncher: readonly [string, ...string[]] = [process.execPath, '--import', preload]

/** The preload's environment; it appends where it killed the daemon to the file `report`. */
export function killEnvironment(plan: KillPlan | undefined, report: string): NodeJS.ProcessEnv {
  return { SNAPSAFE_KILL_AT: JSON.stringify(plan === undefined ? {} : { ...plan, report }) }
}
