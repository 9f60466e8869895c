import type { SourceEvidence } from './source.ts'

/**
 * How long after a restore was declared the other sources may still speak of it, in microseconds of CLOCK_BOOTTIME.
 * Sources that are polled speak tens of milliseconds late on an idle machine; the rest is for a loaded one.
 */
export const absorbWindowUsec = 5_000_000

/** For each source: until when it may give how many more signs of restores that were declared already. */
export type MergeState = ReadonlyMap<string, readonly number[]>

export interface Merged {
  readonly state: MergeState
  /** `restore`: this is a restore that nobody has told of. `absorbed`: a late sign of one that is known. */
  readonly verdict: 'restore' | 'absorbed'
}

/**
 * One restore, one bump, and never one bump for two. A restore that one source declares gives every other source one
 * credit: its next sign is of the same restore. A second sign of the same source is a second restore.
 *
 * A command neither gives nor takes credit: what an operator asks for is not what the hypervisor did, and to tell once too
 * often is cheap where to tell once too seldom is not.
 */
export function merge(
  state: MergeState,
  evidence: SourceEvidence,
  sources: readonly string[],
  nowUsec: number,
): Merged {
  if (evidence.kind === 'command') return { state, verdict: 'restore' }
  const live = dropExpired(state, nowUsec)
  const [used, ...left] = live.get(evidence.source) ?? []
  if (used !== undefined) {
    return { state: new Map(live).set(evidence.source, left), verdict: 'absorbed' }
  }
  const next = new Map(live)
  for (const other of sources) {
    if (other === evidence.source) continue
    next.set(other, [...(live.get(other) ?? []), nowUsec + absorbWindowUsec])
  }
  return { state: next, verdict: 'restore' }
}

function dropExpired(state: MergeState, nowUsec: number): MergeState {
  const live = [...state].map(
    ([source, credits]) => [source, credits.filter((until) => until >= nowUsec)] as const,
  )
  return new Map(live.filter(([, credits]) => credits.length > 0))
}
