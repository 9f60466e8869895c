import { describeFailure } from './describe-failure.ts'
import type { Hook, RestoreEvent } from './hook.ts'
import { publishHook } from './hook-channel.ts'
import type { State, WatchEvent } from './protocol/interface.generated.ts'
import { runHook } from './run-hook.ts'
import type { SnapshotEvent, SnapshotOverEvent } from './snapshot-hook.ts'

/** A planned snapshot that the hook was asked to prepare for, and of which it has not seen the end. */
interface Asked {
  readonly quiesce: number
  /** In which it was asked: if it is another afterwards, this is a copy. */
  readonly generation: number
  /** Aborted when the snapshot is over. */
  readonly over: AbortController
  /** Whether the handler was called. */
  begun: boolean
  answer: { readonly veto: string | undefined } | undefined
}

/** The part that one hook has in planned snapshots: it prepares, it answers, and each of its preparations has one end. */
export class SnapshotPart {
  readonly #handler: (event: SnapshotEvent) => unknown
  readonly #afterwards: ((event: SnapshotOverEvent) => unknown) | undefined
  #asked: Asked | undefined
  /** Settles when what follows the last snapshot without a restore has ended. Never rejects. */
  #previous: Promise<void> = Promise.resolve()

  constructor(
    handler: (event: SnapshotEvent) => unknown,
    afterwards: ((event: SnapshotOverEvent) => unknown) | undefined,
  ) {
    this.#handler = handler
    this.#afterwards = afterwards
  }

  /** Takes an event of the daemon. */
  hear(hook: Hook, event: WatchEvent, state: State): void {
    if (event === 'quiesce') void this.#prepare(hook, state)
    else if (event === 'resumed') this.#goOn(hook)
    else if (event === 'registered' && this.#wasLeftAlone(state)) this.#goOn(hook)
  }

  /** The end in a copy. Where nothing was prepared there is nothing to do. */
  async adjust({ generation, signal }: RestoreEvent): Promise<void> {
    const asked = this.#asked
    asked?.over.abort(new Error('the system was restored'))
    try {
      if (asked?.begun) await this.#afterwards?.({ restored: true, generation, signal })
    } finally {
      // Who was interrupted is called again for the next generation.
      if (!signal.aborted && this.#asked === asked) this.#asked = undefined
    }
  }

  async #prepare(hook: Hook, state: State): Promise<void> {
    const planned = state.quiesce
    if (!planned) return
    const known = this.#asked
    if (known?.quiesce === planned.quiesce) {
      // Asked again: the connection was lost, and the answer with it.
      if (known.answer) hook.confirmQuiesce(known.quiesce, known.answer.veto)
      return
    }
    if (known?.generation === state.generation) this.#goOn(hook)
    const { quiesce, reason, deadlineUsec } = planned
    const { name, timeoutMs, closed } = hook
    const { generation } = state
    const asked: Asked = { quiesce, generation, over: new AbortController(), begun: false, answer: undefined }
    this.#asked = asked
    await this.#previous
    if (asked.over.signal.aborted || closed.aborted) return
    asked.begun = true
    const event = { reason: reason ?? undefined, deadlineUsec }
    const stopped = AbortSignal.any([asked.over.signal, closed])
    const failure = await runHook<SnapshotEvent>(this.#handler, event, timeoutMs, stopped)
    if (failure?.outcome === 'superseded') return
    const veto = failure && describeFailure(failure.error)
    asked.answer = { veto }
    const outcome = failure ? 'vetoed' : 'prepared'
    publishHook({ name, generation, outcome, ...(failure && { error: failure.error }) })
    hook.confirmQuiesce(quiesce, veto)
  }

  /** Whether the end came while the connection was lost. A copy is told of its generation as well, and adjusts to that. */
  #wasLeftAlone(state: State): boolean {
    const asked = this.#asked
    return (
      asked !== undefined && asked.quiesce !== state.quiesce?.quiesce && asked.generation === state.generation
    )
  }

  /** The end in the original, or of a snapshot that was given up. */
  #goOn(hook: Hook): void {
    const asked = this.#asked
    this.#asked = undefined
    asked?.over.abort(new Error('the planned snapshot is over'))
    if (asked?.begun && this.#afterwards) this.#previous = resume(hook, this.#afterwards, asked.generation)
  }
}

async function resume(
  { name, timeoutMs, closed }: Hook,
  afterwards: (event: SnapshotOverEvent) => unknown,
  generation: number,
): Promise<void> {
  const failure = await runHook<SnapshotOverEvent>(
    afterwards,
    { restored: false, generation },
    timeoutMs,
    closed,
  )
  const outcome = failure?.outcome ?? 'resumed'
  publishHook({ name, generation, outcome, ...(failure && { error: failure.error }) })
}
