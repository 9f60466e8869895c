import type {
  Cause,
  Evidence,
  KernelRandom,
  LogOutcome,
  LogStep,
  Notify,
  Running,
  Signal,
  Stage,
} from 'snapsafe/protocol'
import type { DeadlinePolicy, WatcherOwner } from './watcher-table.ts'

/**
 * What happens to the orchestrator. Every event carries the time at which it happened: the machine has no clock. Events are
 * JSON, because a daemon that was killed is brought back by playing them again.
 */
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
      /** How the host named it. */
      readonly restoreId?: string
    }
  | {
      /** One more sign of a restore that was declared already. */
      readonly type: 'evidence'
      readonly evidence: Evidence
      readonly restoreId?: string
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
      readonly stage: Stage
      readonly deadlineMs: number
      readonly policy: DeadlinePolicy
      readonly beforeSnapshot: boolean
      readonly notify?: Notify
      readonly signal?: Signal
      readonly registeredAtUsec: number
      readonly adjustedTo: number
    }
  | {
      /** Its connection is gone. `mayReturn`: it did not say so before, and its process lives. */
      readonly type: 'watcher-left'
      readonly id: string
      readonly mayReturn: boolean
    }
  | {
      /** A confirmation that `checkConfirmation` has passed. */
      readonly type: 'confirmed'
      readonly id: string
      readonly generation: number
      readonly failure?: string
    }
  | {
      /** What the effect `enforce` was to do could not be done. */
      readonly type: 'not-enforced'
      readonly id: string
      readonly detail: string
    }
  | {
      /** A snapshot is planned. Only while `canQuiesce`. */
      readonly type: 'quiesce'
      readonly reason?: string
      readonly deadlineMs: number
      readonly thawAfterMs: number
      readonly force: boolean
      /** Whose group of processes has to take the answer, and runs on. */
      readonly callerPid: number
    }
  | {
      /** An answer that `checkPrepared` has passed. */
      readonly type: 'prepared'
      readonly id: string
      readonly quiesce: number
      readonly veto?: string
    }
  | {
      /** The answer to the effect `freeze`. */
      readonly type: 'frozen'
      readonly quiesce: number
      readonly frozen: readonly string[]
      readonly running: readonly Running[]
    }
  | { readonly type: 'not-frozen'; readonly quiesce: number; readonly detail: string }
  | {
      /** The quiesce is over, and there is no sign of a restore. */
      readonly type: 'resume'
      readonly outcome: Extract<LogOutcome, 'resumed' | 'failed'>
      readonly detail: string
    }
  | {
      /** Nobody may be left frozen: the daemon ends, or was killed and has looked for restores meanwhile. */
      readonly type: 'release'
      readonly detail: string
    }
  | {
      /** Effects were carried out: the steps that they are in the log, each with its own time. */
      readonly type: 'done'
      /** The entry of the log. */
      readonly entry: number
      readonly steps: readonly LogStep[]
    }
  | {
      /**
       * Another daemon goes on from here. `connected`: watchers whose connection it has. `dead`: of the others, those whose
       * process is gone.
       */
      readonly type: 'restarted'
      readonly connected: readonly string[]
      readonly dead: readonly string[]
    }
  | { readonly type: 'time' }
)

/** What the orchestrator wants done, in this order, before the next event. Each may be wanted again by the next daemon. */
export type OrchestratorEffect =
  | {
      /** Overwrite the memory that processes have put under protection. */
      readonly type: 'wipe-memory'
    }
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
  | {
      /** Freeze the workload, and answer with `frozen` or `not-frozen`. */
      readonly type: 'freeze'
      readonly quiesce: number
      readonly callerPid: number
    }
  | {
      /** Let everything run that may be frozen, now. */
      readonly type: 'thaw'
    }
  | {
      /** Ask one watcher whether it is prepared. */
      readonly type: 'ask'
      readonly id: string
    }
  | {
      /** Tell the watchers of a stage of the generation. */
      readonly type: 'tell'
      readonly stage: Stage
    }
  | {
      readonly type: 'announce'
      readonly event: 'generation' | 'quiesce' | 'ready' | 'resumed'
    }
  | {
      /** A planned snapshot has ended: without a restore, or in one. */
      readonly type: 'quiesce-ended'
      readonly quiesce: number
      readonly outcome: QuiesceOutcome
    }
  | {
      /** Do what is configured about a watcher that has not adjusted; answer with `not-enforced` if it cannot be done. */
      readonly type: 'enforce'
      readonly id: string
      readonly policy: Extract<DeadlinePolicy, 'restart' | 'kill'>
    }
  | {
      /** The earliest deadline may have changed. */
      readonly type: 'rearm'
    }

export type QuiesceOutcome =
  | { readonly how: 'restored' }
  | { readonly how: 'resumed' | 'failed'; readonly detail: string }
  | { readonly how: 'vetoed'; readonly name: string; readonly pid: number; readonly detail: string }
