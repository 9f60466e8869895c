import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Throttle } from './throttle.ts'

let runs: number
beforeEach(() => {
  runs = 0
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const throttle = () => new Throttle(100, () => runs++)

describe('what is throttled', () => {
  it('runs at once, then once for all that was asked for meanwhile', () => {
    const throttled = throttle()
    for (let count = 0; count < 10; count++) throttled.soon()
    expect(runs).toBe(1)
    vi.advanceTimersByTime(99)
    expect(runs).toBe(1)
    vi.advanceTimersByTime(1)
    expect(runs).toBe(2)
    vi.advanceTimersByTime(1000)
    expect(runs).toBe(2)
    throttled.soon()
    expect(runs).toBe(3)
  })

  it('runs now where it has to, which is as good as later', () => {
    const throttled = throttle()
    throttled.now()
    throttled.soon()
    throttled.now()
    expect(runs).toBe(2)
    vi.advanceTimersByTime(1000)
    expect(runs).toBe(2)
  })

  it('does not run after it was closed', () => {
    const throttled = throttle()
    throttled.now()
    throttled.soon()
    throttled.close()
    vi.advanceTimersByTime(1000)
    expect(runs).toBe(1)
  })
})
