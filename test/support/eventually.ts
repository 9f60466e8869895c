import { setTimeout as delay } from 'node:timers/promises'

const defaultDeadlineMs = 10_000
const pauseMs = 5

export interface EventuallyOptions {
  readonly deadlineMs?: number
  /** What else the error is to say. */
  readonly explain?: () => string
}

/** Asks again and again until the answer is not undefined or false, and resolves with it; rejects after the deadline. */
export async function eventually<T>(
  what: string,
  ask: () => T | Promise<T>,
  { deadlineMs = defaultDeadlineMs, explain = () => '' }: EventuallyOptions = {},
): Promise<Exclude<T, undefined | false>> {
  const end = performance.now() + deadlineMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>
    if (performance.now() > end)
      throw new Error(`within ${deadlineMs} ms it did not happen that ${what}\n${explain()}`)
    await delay(pauseMs)
  }
}
