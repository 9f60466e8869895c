import { appendFileSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { OrchestratorState } from '../orchestrator/state.ts'
import { makeDirectory } from '../system/make-directory.ts'
import type { Log } from './log.ts'

/** Past this size the older half of the journal is dropped. */
const maxJournalBytes = 1024 * 1024
/** How many watchers one line names. */
const maxNamed = 20

/** One line of the journal: a generation, when it has become ready. */
interface JournalEntry {
  readonly bootId: string
  readonly time: string
  readonly generation: number
  readonly generationId: string
  readonly cause: string
  readonly reason: string | undefined
  readonly evidence: readonly { source: string; detail: string }[]
  readonly kernelRandom: string
  readonly adjustingUsec: number
  readonly trackedWatchers: number
  readonly missed: readonly { name: string; pid: number; uid: number; owing: string }[]
}

/**
 * Appends one generation to the journal, which stays under a mebibyte. A disk that is full or read-only is logged and no
 * more: the record is for people, and nothing waits for it.
 */
export function recordGeneration(path: string, state: OrchestratorState, log: Log): void {
  try {
    append(path, JSON.stringify(entryOf(state)))
  } catch (error) {
    log.warning(`cannot record generation ${state.generation} in ${path}: ${(error as Error).message}`)
  }
}

function entryOf(state: OrchestratorState): JournalEntry {
  const { watchers } = state
  return {
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    time: new Date().toISOString(),
    generation: state.generation,
    generationId: state.generationId,
    cause: state.cause,
    reason: state.reason,
    evidence: state.evidence,
    kernelRandom: state.kernelRandom,
    adjustingUsec: (state.readyAtUsec ?? state.changedAtUsec) - state.changedAtUsec,
    trackedWatchers: watchers.tracked,
    missed: [...watchers]
      .filter(({ owing }) => owing !== 'no')
      .slice(0, maxNamed)
      .map(({ name, owner, owing }) => ({ name, ...owner, owing })),
  }
}

function append(path: string, line: string): void {
  makeDirectory(dirname(path))
  appendFileSync(path, `${line}\n`, { mode: 0o644 })
  if (statSync(path).size <= maxJournalBytes) return
  const lines = readFileSync(path, 'utf8').split('\n')
  writeFileSync(`${path}.new`, lines.slice(Math.floor(lines.length / 2)).join('\n'), { mode: 0o644 })
  renameSync(`${path}.new`, path)
}
