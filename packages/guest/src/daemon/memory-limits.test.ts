import { describe, expect, it } from 'vitest'
import { checkMemoryLimits } from './memory-limits.ts'

const root = { uid: 0, privileged: true }
const someone = { uid: 1000, privileged: false }
const kib = 1024

/** The limit that stands in the way where these regions of 1 KiB are protected: `own` of the user's, `all` of everybody's. */
function reached(caller: typeof root, own: number, all: number, length = kib): unknown {
  const memory = {
    count: (uid?: number) => (uid === undefined ? all : own),
    bytes: (uid?: number) => kib * (uid === undefined ? all : own),
  }
  try {
    checkMemoryLimits(caller, length, memory)
    return undefined
  } catch (error) {
    return (error as { parameters: unknown }).parameters
  }
}

describe('protected memory', () => {
  it('of one user is limited, by number and by size', () => {
    expect(reached(someone, 255, 255)).toBeUndefined()
    expect(reached(someone, 256, 256)).toEqual({ limit: 'protected memory of one user', maximum: 256 })
    expect(reached(someone, 10, 10, 2 ** 24)).toEqual({
      limit: 'bytes of protected memory of one user',
      maximum: 2 ** 24,
    })
    expect(reached(root, 256, 256, 2 ** 24)).toBeUndefined()
  })

  it('of all users together leaves room for root and the group', () => {
    expect(reached(someone, 0, 3839)).toBeUndefined()
    expect(reached(someone, 0, 3840)).toEqual({ limit: 'protected memory', maximum: 3840 })
    expect(reached(root, 0, 3840)).toBeUndefined()
    expect(reached(root, 0, 4095)).toBeUndefined()
    expect(reached(root, 0, 4096)).toEqual({ limit: 'protected memory', maximum: 4096 })
  })
})
