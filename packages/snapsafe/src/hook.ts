import type { Cause, Stage } from './protocol/interface.generated.ts'

/** What a hook is told of a restore. */
export interface RestoreEvent {
  /** The generation to adjust to. */
  readonly generation: number
  /** 32 hexadecimal digits, different in every clone; public. */
  readonly id: string
  /** The generation that this hook last adjusted to; 0 where that is not known. */
  readonly previous: number
  readonly cause: Cause
  /** Aborted when the hook's time is up, when a newer generation has come, or when the hook was closed. */
  readonly signal: AbortSignal
}

/** What every hook may be given. */
export interface HookOptions {
  /** Names the hook to those who wait for it: 1 to 128 printable characters. Default: the program and the hook's number. */
  readonly name?: string | undefined
  /** How long the hook may take, up to 2^31 - 1. Default 10,000 ms. */
  readonly timeoutMs?: number | undefined
  /** Removes the hook when aborted. */
  readonly signal?: AbortSignal | undefined
  /**
   * When its turn is after a restore: hooks of `network` run when all of `identity` in the whole machine have ended, or their
   * time is up, and those of `application` after that. Default `application`.
   */
  readonly stage?: Stage | undefined
}

export interface RestoreHookOptions extends HookOptions {
  /** Whether the machine waits for this hook before it is ready. Default true. */
  readonly tracked?: boolean | undefined
}

/** A registered hook. */
export interface RestoreHook {
  readonly name: string
  /** Whether the daemon knows of the hook at this moment. */
  readonly connected: boolean
  /** Why it does not, at the last attempt. */
  readonly problem: Error | undefined
  /**
   * Resolves when the daemon knows of the hook for the first time, and waits as long as there is no daemon. Whoever asks
   * for this promise keeps the process alive until then. Rejects only when the hook is closed before: with the reason of
   * its signal, or an AbortError.
   */
  readonly registered: Promise<void>
  /** Removes the hook; it owes nothing from now on. */
  close(): void
  [Symbol.dispose](): void
}

/** A hook as those see it who run it. */
export interface Hook {
  readonly name: string
  readonly stage: Stage
  readonly handler: (event: RestoreEvent) => unknown
  readonly timeoutMs: number
  /** Aborted when it is closed. */
  readonly closed: AbortSignal
  /** Undefined until a process that has no page is told of the current generation. */
  adjustedTo: number | undefined
  /** The last generation that it could not adjust to, and why. */
  failed: { readonly generation: number; readonly message: string } | undefined
  /** Tells the daemon. What does not arrive is told again when the daemon shows that it does not know. */
  readonly confirm: (generation: number, failure?: string) => void
  /** Tells the daemon that it has prepared for a planned snapshot, or why there must be none. */
  readonly confirmQuiesce: (quiesce: number, veto?: string) => void
}
