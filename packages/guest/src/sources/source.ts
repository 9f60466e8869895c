import type { Cause } from 'snapsafe/protocol'

/**
 * What a source can prove. identity: the machine's identity is another one. counter: a counter that only a restore moves
 * has moved. edge: something happened that a restore makes happen. command: somebody who may has said so.
 */
export type SourceKind = 'identity' | 'counter' | 'edge' | 'command'

/** One sign of a restore. */
export interface SourceEvidence {
  readonly source: string
  readonly kind: SourceKind
  readonly cause: Cause
  /** In words, for people; public, so never the hypervisor's id. */
  readonly detail: string
  /** The kernel reseeded its generator for this very restore before it gave this sign. */
  readonly kernelReseeded: boolean
}

/** What a source remembers across a restart of the daemon; it is kept in the runtime directory, readable by root only. */
export type SourceMemory = { readonly [key: string]: number | string }

export interface SourceContext {
  /** What the source last saw, if an earlier daemon of this boot left it. */
  readonly memory: SourceMemory | undefined
  /** The page was there already: an earlier daemon ran in this boot, and processes may know its generation. */
  readonly continued: boolean
  /** Takes a sign; with what the source wants to remember once that sign has become a generation. */
  readonly report: (evidence: SourceEvidence, memory: SourceMemory) => void
  /** Takes what the source wants to remember although nothing happened. */
  readonly remember: (memory: SourceMemory) => void
  /** The source has stopped working and says why; it is not asked again. */
  readonly fail: (error: Error) => void
}

/** Something that yields evidence of a restore. */
export interface Source {
  readonly name: string
  readonly kind: SourceKind
  /**
   * Begins to look. When it resolves, every restore after it is seen, and those that came since `memory` was written have
   * been reported. Rejects with a SourceUnavailableError where it cannot work.
   */
  start(context: SourceContext): Promise<void>
  /** Looks at once, and reports what it sees before it returns. Nothing before `start` has resolved, and after `close`. */
  sample(): void
  close(): void
}

/** This source cannot work here; the message says why and what would help. */
export class SourceUnavailableError extends Error {
  readonly code = 'ERR_SNAPSAFE_SOURCE_UNAVAILABLE'
  override readonly name = 'SourceUnavailableError'
}
