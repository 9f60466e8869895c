import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { z } from 'zod'
import type { OrchestratorState } from '../orchestrator/state.ts'
import type { SourceMemory } from '../sources/source.ts'

const stateSchema = z.object({
  version: z.literal(1),
  /** The generation that the rest speaks of. */
  generation: z.number(),
  cause: z.enum(['boot', 'clone', 'ambiguous', 'command']),
  reason: z.string().optional(),
  evidence: z.array(z.object({ source: z.string(), detail: z.string() })),
  kernelRandom: z.enum(['boot', 'kernel', 'snapsafe', 'unproven', 'failed', 'off']),
  readyAtUsec: z.number().optional(),
  /** What each source last saw. */
  sources: z.record(z.string(), z.record(z.string(), z.union([z.string(), z.number()]))),
})

/** What a daemon leaves for the next one of the same boot, beside the page. */
export type DaemonState = z.infer<typeof stateSchema>

/** Undefined where there is none, or none that this version understands. */
export function readStateFile(path: string): DaemonState | undefined {
  try {
    return stateSchema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return undefined
  }
}

export function stateToSave(
  state: OrchestratorState,
  memories: ReadonlyMap<string, SourceMemory>,
): DaemonState {
  const { generation, cause, reason, evidence, kernelRandom, readyAtUsec } = state
  return {
    version: 1,
    generation,
    cause,
    reason,
    evidence: evidence.map(({ source, detail }) => ({ source, detail })),
    kernelRandom,
    readyAtUsec,
    sources: Object.fromEntries(memories),
  }
}

/** Replaces the file as a whole: a daemon that is killed here leaves the old one. */
export function writeStateFile(path: string, state: DaemonState): void {
  const temporary = `${path}.new`
  writeFileSync(temporary, `${JSON.stringify(state)}\n`, { mode: 0o600 })
  renameSync(temporary, path)
}
