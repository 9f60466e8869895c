import { checkTimeout } from './hook-options.ts'
import { runtimeDir } from './local-page.ts'
import type { Methods, State } from './protocol/interface.generated.ts'
import { socketPath } from './protocol/paths.ts'
import { startPause } from './protocol/pause.ts'

const defaultTimeoutMs = 60_000
/** The daemon takes no more for one call. */
const maxWaitMs = 86_400_000
/** Our own deadline comes first, and knows more. */
const spareMs = 1000
const connectTimeoutMs = 5000
const firstRetryMs = 100
const lastRetryMs = 1500

type WaitReply = Methods['Wait']['reply']

export interface ReadyOptions {
  /** Default 60,000 ms; up to 2^31 - 1. */
  readonly timeoutMs?: number | undefined
  /** Ends the waiting with its reason. */
  readonly signal?: AbortSignal | undefined
}

/** How the machine is ready. */
export interface Readiness {
  readonly generation: number
  /** 32 hexadecimal digits, different in every clone; public. */
  readonly id: string
  /** Somebody has not adjusted, or the kernel's random generator may repeat itself. */
  readonly degraded: boolean
  /** The names of those who have not adjusted, as far as this user may know them. */
  readonly missed: readonly string[]
}

/** The machine was not ready in time. */
export class NotReadyError extends Error {
  readonly code = 'ERR_SNAPSAFE_NOT_READY'
  override readonly name = 'NotReadyError'
}

/**
 * Resolves when the machine is ready: everybody has adjusted to the current generation, or missed the deadline. At once, where
 * that is so already. A daemon that is not there, or restarts, is waited for. Keeps the process alive meanwhile. Rejects with
 * NotReadyError when the time is up, which says what was waited for, or with the reason of the signal.
 *
 * Not for hooks: the machine waits for them.
 */
export async function ready(options: ReadyOptions = {}): Promise<Readiness> {
  const { timeoutMs = defaultTimeoutMs, signal } = options
  checkTimeout(timeoutMs)
  signal?.throwIfAborted()
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), timeoutMs)
  const over = signal ? AbortSignal.any([late.signal, signal]) : late.signal
  let heard: WaitReply | undefined
  let problem: unknown
  try {
    for (let retryMs = firstRetryMs; ; retryMs = Math.min(lastRetryMs, retryMs * 2)) {
      try {
        for await (const reply of wait(timeoutMs, over)) {
          heard = reply
          retryMs = firstRetryMs
        }
        if (heard) return readiness(heard.state)
      } catch (error) {
        signal?.throwIfAborted()
        if (late.signal.aborted)
          throw new NotReadyError(explain(timeoutMs, heard, problem), { cause: problem })
        problem = error
        heard = undefined
      }
      await startPause(retryMs, over).over
    }
  } finally {
    clearTimeout(timer)
  }
}

/** What is so on the way; the last one is that the machine is ready. */
async function* wait(timeoutMs: number, signal: AbortSignal): AsyncGenerator<WaitReply> {
  signal.throwIfAborted()
  const { connectToDaemon } = await import('./protocol/interface.ts')
  const client = await connectToDaemon(socketPath(runtimeDir), { signal, connectTimeoutMs })
  try {
    const parameters = {
      for: 'ready',
      timeoutMs: Math.min(maxWaitMs, Math.ceil(timeoutMs) + spareMs),
    } as const
    yield* client.stream('Wait', parameters, { signal })
  } finally {
    void client.close()
  }
}

function readiness({ generation, generationId: id, degraded, missed }: State): Readiness {
  return { generation, id, degraded, missed: missed.map(({ name }) => name) }
}

function explain(timeoutMs: number, heard: WaitReply | undefined, problem: unknown): string {
  const late = `the machine was not ready within ${timeoutMs} ms`
  if (heard === undefined) return problem instanceof Error ? `${late}: ${problem.message}` : late
  const { state, progress } = heard
  if (state.phase === 'quiesced') return `${late}: it is quiesced for a snapshot`
  const slowest = progress.slowest.map(({ name, pid }) => `${name} (process ${pid})`)
  const adjusted = `${progress.confirmed} of ${progress.of} have adjusted`
  return slowest.length === 0
    ? `${late}: ${adjusted}`
    : `${late}: ${adjusted}, it waits for ${slowest.join(', ')}`
}
