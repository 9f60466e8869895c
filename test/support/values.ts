import type { LogEntry, PlannedSnapshot, State, Watcher } from 'snapsafe/protocol'

/** A state of the interface: ready, at generation 3, unless told otherwise. */
export function aState(fields: Partial<State> = {}): State {
  return {
    generation: 3,
    generationId: '0123456789abcdef0123456789abcdef',
    phase: 'running',
    cause: 'clone',
    evidence: [],
    kernelRandom: 'kernel',
    changedAtUsec: 5_000_000,
    trackedWatchers: 0,
    outdatedWatchers: 0,
    degraded: false,
    missed: [],
    ...fields,
  }
}

/** A watcher that has adjusted, unless told otherwise. */
export function aWatcher(fields: Partial<Watcher> = {}): Watcher {
  return {
    watcher: '1',
    name: 'db',
    pid: 12,
    uid: 0,
    tracked: true,
    deadlineMs: 10_000,
    adjustedTo: 3,
    owing: 'no',
    stage: 'application',
    beforeSnapshot: false,
    absent: false,
    ...fields,
  }
}

/** A planned snapshot that nobody is asked about, and that freezes nothing, unless told otherwise. */
export function aPlannedSnapshot(fields: Partial<PlannedSnapshot> = {}): PlannedSnapshot {
  return { quiesce: 1, deadlineUsec: 10_000_000, prepared: 0, of: 0, frozen: [], running: [], ...fields }
}

/** An entry of the log that is open, unless told otherwise. */
export function anEntry(fields: Partial<LogEntry> = {}): LogEntry {
  return {
    entry: 1,
    outcome: 'open',
    generation: 3,
    generationId: '0123456789abcdef0123456789abcdef',
    cause: 'clone',
    kernelRandom: 'kernel',
    evidence: [],
    steps: [],
    answers: [],
    answersLeftOut: 0,
    ...fields,
  }
}
