import { describe, expect, it, vi } from 'vitest'
import type { RestoreEvent } from './hook.ts'
import { HookTimeoutError, runHook } from './run-hook.ts'

const event = { generation: 2, id: '0'.repeat(32), previous: 1, cause: 'clone' } as const
const never = new AbortController().signal
const longMs = 60_000

describe('one run of a hook', () => {
  it('is a success when the handler returns or resolves, and gives it the event', async () => {
    const handler = vi.fn((_: RestoreEvent) => 'ignored')
    expect(await runHook(handler, event, longMs, never)).toBeUndefined()
    expect(handler).toHaveBeenCalledExactlyOnceWith({ ...event, signal: expect.any(AbortSignal) })
    expect(await runHook(async () => 'ignored', event, longMs, never)).toBeUndefined()
    expect(handler.mock.calls[0]?.[0].signal.aborted).toBe(false)
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('no')
      },
    ],
    ['rejects', () => Promise.reject(new Error('no'))],
  ])('is a failure when the handler %s', async (_, handler) => {
    expect(await runHook(handler, event, longMs, never)).toEqual({
      outcome: 'failed',
      error: new Error('no'),
    })
  })

  it('is a failure when the time is up, and the handler’s signal says so', async () => {
    let signal: AbortSignal | undefined
    const failure = await runHook(
      (given) => {
        signal = given.signal
        return new Promise(() => {})
      },
      event,
      1,
      never,
    )
    expect(failure).toEqual({ outcome: 'failed', error: expect.any(HookTimeoutError) })
    expect(failure?.error).toMatchObject({
      code: 'ERR_SNAPSAFE_HOOK_TIMEOUT',
      message: expect.stringContaining('1 ms'),
    })
    expect(signal?.reason).toBe(failure?.error)
  })

  it('is superseded when it is cancelled, before or during the run', async () => {
    const reason = new Error('newer')
    const wait = ({ signal }: RestoreEvent) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('by the handler'))))
    const before = await runHook(() => new Promise(() => {}), event, longMs, AbortSignal.abort(reason))
    expect(before).toEqual({ outcome: 'superseded', error: reason })
    const cancel = new AbortController()
    const during = runHook(wait, event, longMs, cancel.signal)
    cancel.abort(reason)
    expect(await during).toMatchObject({ outcome: 'superseded' })
  })

  it('leaves no timer behind', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = timers()
    await runHook(() => {}, event, longMs, never)
    await runHook(() => Promise.reject(new Error('no')), event, longMs, never)
    expect(timers()).toBe(before)
  })
})
