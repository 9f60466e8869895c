import type { Progress, State, Watcher } from 'snapsafe/protocol'
import { describePhase } from './describe.ts'
import { cut } from './live-table.ts'
import { table } from './output.ts'
import { seconds } from './time.ts'

/** A name may have 128 characters; the columns after it are worth more. */
const maxNameWidth = 32
const tableHead = ['NAME', 'PID', 'USER', 'STAGE', 'WAITED', 'DUE IN']

/** A reply of Wait. */
export interface WaitNews {
  readonly state: State
  readonly progress: Progress
}

/** News in one line that changes with them and not with time: `generation 4, adjusting (stage network), 3 of 10 adjusted; waits for db`. */
export function describeNews({ state, progress }: WaitNews): string {
  const [slowest] = progress.slowest
  return `${situation(state, progress)}${slowest ? `; slowest: ${slowest.name} (pid ${slowest.pid})` : ''}`
}

/** News as lines for a terminal: where it stands, and a table of those that are waited for. */
export function newsLines({ state, progress }: WaitNews, nowUsec: number): string[] {
  const since = state.phase === 'adjusting' ? `, ${seconds(nowUsec - state.changedAtUsec)}` : ''
  const head = situation(state, progress) + since
  if (progress.slowest.length === 0) return [head]
  const rows = progress.slowest.map((watcher) => row(watcher, nowUsec))
  return [head, ...table([tableHead, ...rows]).split('\n')]
}

function situation(state: State, { confirmed, of }: Progress): string {
  const asking = state.quiesce?.asking
  const who = state.phase === 'quiescing' && asking ? `, asking ${asking}` : ''
  return `generation ${state.generation}, ${describePhase(state)}${who}, ${confirmed} of ${of} adjusted`
}

function row({ name, pid, uid, stage, sinceUsec, dueAtUsec, absent }: Watcher, nowUsec: number): string[] {
  const waited = sinceUsec == null ? '-' : seconds(nowUsec - sinceUsec)
  const due = dueAtUsec == null ? 'not begun' : dueAtUsec > nowUsec ? seconds(dueAtUsec - nowUsec) : 'over'
  return [cut(name, maxNameWidth), `${pid}`, `${uid}`, stage, waited, absent ? `${due}, absent` : due]
}
