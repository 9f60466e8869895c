import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type KernelRandomDoor, kernelRandomDoor } from './kernel-random.ts'

/** Not the addon: a test must not touch the machine's random generator. This machine has neither a CPU generator nor any other. */
const addon = {
  cpuRandom: vi.fn(),
  addKernelEntropy: vi.fn(),
  reseedKernelRandom: vi.fn(),
  bootTimeNs: () => 1n,
}

let door: KernelRandomDoor

beforeEach(() => {
  for (const spy of [addon.cpuRandom, addon.addKernelEntropy, addon.reseedKernelRandom]) spy.mockReset()
  door = kernelRandomDoor(addon as never, true, '/dev/null')
})
afterEach(() => door.close())

describe('bytes of the host', () => {
  it('prove a reseed, and are overwritten here', async () => {
    const seed = Buffer.alloc(64, 7)
    door.addSeed(seed)
    expect(seed.equals(Buffer.alloc(64))).toBe(true)
    expect(await door.makeUnique()).toMatchObject({ kernelRandom: 'snapsafe' })
    expect(addon.reseedKernelRandom).toHaveBeenCalledOnce()
  })

  it('prove one reseed only', async () => {
    door.addSeed(Buffer.alloc(64, 7))
    await door.makeUnique()
    expect(await door.makeUnique()).toMatchObject({ kernelRandom: 'unproven' })
  })

  it('that were for no copy prove nothing for the next one', async () => {
    door.addSeed(Buffer.alloc(64, 7))
    expect(door.hasSeed).toBe(true)
    door.forgetSeed()
    expect(await door.makeUnique()).toMatchObject({ kernelRandom: 'unproven' })
  })

  it('prove nothing where they could not be mixed in', async () => {
    addon.addKernelEntropy.mockImplementation(() => {
      throw new Error('EPERM')
    })
    door.addSeed(Buffer.alloc(64, 7))
    expect(door.hasSeed).toBe(false)
    expect(await door.makeUnique()).toMatchObject({ kernelRandom: 'failed' })
  })
})
