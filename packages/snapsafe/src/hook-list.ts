import type { Hook } from './hook.ts'
import { stageRank } from './stages.ts'

/** What a hook that has used up its time needs to say so before the daemon names it for saying nothing. */
const reportMs = 1000

/** By stage, and within that in the order of registration, which is the order in which they run. */
const hooks: Hook[] = []

export function addHook(hook: Hook): void {
  hooks.push(hook)
  hooks.sort((a, b) => stageRank(a.stage) - stageRank(b.stage))
}

export function removeHook(hook: Hook): void {
  const index = hooks.indexOf(hook)
  if (index >= 0) hooks.splice(index, 1)
}

/** The first hook, in the order in which they run, that is so. */
export function findHook(isSo: (hook: Hook) => boolean): Hook | undefined {
  return hooks.find(isSo)
}

/** What the daemon must grant a hook: its own time, and that of those of its stage which run before it. */
export function budgetMs(hook: Hook): number {
  let ms = reportMs
  for (const each of hooks) {
    if (each.stage === hook.stage) ms += each.timeoutMs
    if (each === hook) break
  }
  return Math.ceil(ms)
}
