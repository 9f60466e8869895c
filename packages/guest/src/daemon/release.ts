import type { Manager } from './manager.ts'

/** Making the kernel unique takes a quarter of a second at most; the rest is for a loaded machine. */
const deadlineMs = 5000

/**
 * Before the daemon ends: what is frozen is thawed as it is at a deadline, in a new generation, because nobody can know
 * whether this is a copy. Resolves when it is, or after a deadline; whatever is frozen then is thawed all the same.
 */
export function release(manager: Manager): Promise<void> {
  manager.dispatch({ type: 'release', nowUsec: manager.nowUsec(), detail: 'the daemon ends' })
  if (manager.isClosed || !manager.state.snapshot) return Promise.resolve()
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer)
      unsubscribe()
      resolve()
    }
    const timer = setTimeout(end, deadlineMs)
    const unsubscribe = manager.audience.subscribe(() => {
      if (!manager.state.snapshot) end()
    })
  })
}
