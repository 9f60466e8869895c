import { afterAll, expect, it, vi } from 'vitest'
import { TestPage } from '../../../test/support/test-page.ts'

// A runtime whose OpenSSL does not take a new seed (BoringSSL in Electron, a generator of its own): there is none here.
vi.mock('./native.ts', async (load) => {
  const original = await load<typeof import('./native.ts')>()
  const { addon } = original.loadNative()
  return { ...original, loadNative: () => ({ addon: { ...addon, reseedOpenSSL: () => false } }) }
})
const page = new TestPage()
afterAll(() => page[Symbol.dispose]())

it('says so when OpenSSL does not take a new seed although the addon is there', async () => {
  const { generation } = await import('./generation.ts')
  expect(generation.page).toBe('mapped')
  expect(generation.missing).toEqual([expect.stringContaining('did not take a new seed')])
})
