import { afterAll, expect, it, vi } from 'vitest'
import { ScriptedDaemon } from '../../../test/support/scripted-daemon.ts'
import { TestPage } from '../../../test/support/test-page.ts'

const done = vi.hoisted(() => ({ renewed: 0, settling: 0, settle: () => {} }))
vi.mock('./process-random.ts', () => ({
  renewProcessRandom() {
    done.renewed += 1
    return true
  },
  settleProcessRandom() {
    done.settling += 1
    return new Promise<void>((resolve) => {
      done.settle = resolve
    })
  },
}))
const page = new TestPage()
const { guard } = await import('./guard.ts')
const { onRestore } = await import('./hooks.ts')
const { enterGeneration, randomSettled } = await import('./renewal.ts')
afterAll(() => page[Symbol.dispose]())

// In this order.
it('renews when it is loaded, without anything that goes on', async () => {
  expect(done).toMatchObject({ renewed: 1, settling: 0 })
  await randomSettled()
})

it('renews once for a generation, and then settles what was under way', async () => {
  guard(() => {})
  expect(done).toMatchObject({ renewed: 1, settling: 0 })
  const generation = page.bump()
  expect(enterGeneration()).toBe(generation)
  guard(() => {})
  expect(done).toMatchObject({ renewed: 2, settling: 1 })
  const settled = vi.fn()
  const waiting = randomSettled().then(settled)
  await Promise.resolve()
  expect(settled).not.toHaveBeenCalled()
  done.settle()
  await waiting
})

it('runs a hook only when the randomness is settled', async () => {
  await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
  const ran = vi.fn()
  using hook = onRestore(ran, { name: 'hook' })
  const watch = await daemon.watch('hook')
  watch.tell('registered', daemon.state(page.generation), false)
  await hook.registered
  const before = { ...done }
  const generation = page.bump()
  watch.tell('generation', daemon.state(generation), true)
  await vi.waitFor(() => expect(done.settling).toBe(before.settling + 1))
  expect(done.renewed).toBe(before.renewed + 1)
  await new Promise((resolve) => setImmediate(resolve))
  expect(ran).not.toHaveBeenCalled()
  done.settle()
  await daemon.confirmed(watch)
  expect(ran).toHaveBeenCalledOnce()
})
