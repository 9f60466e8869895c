import type { Cause, Evidence, KernelRandom, WatchEvent } from 'snapsafe/protocol'
import type { WatcherOwner } from './watcher-table.ts'

/** What happens to the orchestrator. Every event carries the time at which it happened: the machine has no clock. */
export type OrchestratorEvent = { readonly nowUsec: number } & (
  | {
      /** A restore was declared. */
      readonly type: 'restore'
      readonly cause: Cause
      readonly reason?: string
      readonly evidence: Evidence
      /** The kernel has reseeded its generator for this very restore. */
      readonly kernelReseeded: boolean
      /** The least that the new generation may be. */
      readonly minimum?: number
    }
  | {
      /** One more sign of a restore that was declared already. */
      readonly type: 'evidence'
      readonly evidence: Evidence
    }
  | {
      /** The answer to the effect `make-kernel-unique`; the id was drawn after the reseed. */
      readonly type: 'kernel-unique'
      readonly attempt: number
      readonly kernelRandom: KernelRandom
      readonly generationId: string
    }
  | {
      readonly type: 'watcher-joined'
      readonly id: string
      readonly name: string
      readonly owner: WatcherOwner
      readonly tracked: boolean
      readonly deadlineMs: number
      readonly adjustedTo: number
    }
  | { readonly type: 'watcher-left'; readonly id: string }
  | {
      /** A confirmation that `checkConfirmation` has passed. */
      readonly type: 'confirmed'
      readonly id: string
      readonly generation: number
      readonly failure?: string
    }
  | { readonly type: 'time' }
)

/** What the orchestrator wants done, in this order, before the next event. */
export type OrchestratorEffect =
  | {
      /** Make the kernel's generator unique to this copy, draw an id from it, and answer with `kernel-unique`. */
      readonly type: 'make-kernel-unique'
      readonly attempt: number
      readonly kernelReseeded: boolean
    }
  | {
      /** Write the page from the state. */
      readonly type: 'publish'
      readonly change: 'generation' | 'phase' | 'counts'
    }
  | { readonly type: 'announce'; readonly event: Exclude<WatchEvent, 'registered'> }
  | {
      /** The earliest deadline may have changed. */
      readonly type: 'rearm'
    }
