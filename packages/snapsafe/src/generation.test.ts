import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { renameSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { eventually } from '../../../test/support/eventually.ts'
import { TestPage } from '../../../test/support/test-page.ts'
import { loadNative } from './native.ts'

const page = new TestPage({ create: false })
const { generation } = await import('./generation.ts')
const { guard } = await import('./guard.ts')
const { hearGeneration, refreshPage } = await import('./local-page.ts')
const { enterGeneration } = await import('./renewal.ts')
const { perGeneration } = await import('./per-generation.ts')
afterAll(() => page[Symbol.dispose]())

/** What the renewals were for that `action` brought about. */
function renewals(action: () => void): unknown[] {
  const renewed: unknown[] = []
  const listen = (message: unknown) => renewed.push(message)
  subscribe('snapsafe:renewed', listen)
  action()
  unsubscribe('snapsafe:renewed', listen)
  return renewed
}

// In this order: there is no page yet, then there is one, then another.
describe('the generation', () => {
  it('says honestly that there is no page, and why', () => {
    expect(generation).toMatchObject({ number: 0, id: undefined, supported: false, page: 'none' })
    expect(generation.reason).toContain(page.path)
    expect(generation.reason).toContain('is snapsafed running?')
    expect(generation.changedSince(0)).toBe(false)
  })

  it('cannot be known then, so that each guard makes randomness new', () => {
    expect(renewals(() => guard(() => {}))).toEqual([{ generation: 0, reseeded: true }])
    expect(renewals(() => guard(() => {}))).toEqual([{ generation: 0, reseeded: true }])
  })

  it('is what a hook was told while there is no page, so that values are made anew', () => {
    const value = perGeneration((made) => ({ made }))
    const first = value()
    const renewed = renewals(() => {
      hearGeneration(3)
      expect(generation.changedSince(0)).toBe(true)
      expect(value()).not.toBe(first)
    })
    expect(value().made).toBe(3)
    expect(renewed).toEqual([{ generation: 3, reseeded: true }])
    hearGeneration(0)
  })

  it('finds a page that comes later, and takes what this process drew before for old', async () => {
    enterGeneration()
    page.create()
    await eventually('the page is found', () => generation.supported)
    expect(generation).toMatchObject({ number: 0, id: page.id, page: 'mapped', reason: undefined })
    expect(renewals(() => enterGeneration())).toEqual([{ generation: 0, reseeded: true }])
    expect(renewals(() => enterGeneration())).toEqual([])
  })

  it('shows each change at once', () => {
    const seen = generation.number
    const { id } = generation
    expect(generation.changedSince(seen)).toBe(false)
    page.bump()
    expect(generation.changedSince(seen)).toBe(true)
    expect(generation.number).toBe(page.generation)
    expect(generation.id).toBe(page.id)
    expect(generation.id).not.toBe(id)
    expect(generation.id).toMatch(/^[0-9a-f]{32}$/)
  })

  it('is no longer that of anything seen before while the system is quiesced for a snapshot', () => {
    const seen = generation.number
    page.enter('quiesced')
    expect(generation.changedSince(seen)).toBe(true)
    expect(generation.number).toBe(seen)
    page.enter('running')
    expect(generation.changedSince(seen)).toBe(false)
  })

  it('is compared by inequality', () => {
    page.bump(2 ** 32 - 1)
    expect(generation.number).toBe(2 ** 32 - 1)
    expect(generation.changedSince(0)).toBe(true)
  })

  it('is that of another page when that has taken the place of the first', () => {
    page.replace()
    expect(generation.number).not.toBe(0)
    refreshPage()
    expect(generation).toMatchObject({ number: 0, id: page.id, supported: true })
    // Also for the same number: another page counts for itself.
    enterGeneration()
    page.replace()
    refreshPage()
    expect(renewals(() => enterGeneration())).toEqual([{ generation: 0, reseeded: true }])
  })

  it('is still seen when the page is out of sight, as for a process that has changed its root', () => {
    const { runtimeDir } = page
    renameSync(runtimeDir, `${runtimeDir}.away`)
    refreshPage()
    page.bump()
    expect(generation).toMatchObject({ number: page.generation, supported: true, reason: undefined })
    renameSync(`${runtimeDir}.away`, runtimeDir)
  })

  it('cannot be changed by anybody', () => {
    expect(Object.isFrozen(generation)).toBe(true)
    expect(() => Object.assign(generation, { number: 5 })).toThrow(TypeError)
    expect(() => Object.defineProperty(generation, 'number', { value: 5 })).toThrow(TypeError)
  })

  it('misses nothing where the addon works', () => {
    expect(loadNative().addon).toBeDefined()
    expect(generation.missing).toEqual([])
  })
})
