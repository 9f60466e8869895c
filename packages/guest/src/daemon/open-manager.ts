import type { NativeAddon } from 'snapsafe/native'
import { createOrContinuePage, type PageWriter } from 'snapsafe/protocol'
import { notifyServiceManager } from '../system/systemd.ts'
import { restart } from './adopt.ts'
import { beginning } from './beginning.ts'
import { enforce } from './enforce.ts'
import { recordGeneration } from './journal.ts'
import type { Log } from './log.ts'
import { Manager } from './manager.ts'
import type { CloseLater, Parts } from './parts.ts'
import { release } from './release.ts'
import { StateStore } from './store.ts'
import type { Telling } from './untold.ts'

export interface OpenedManager {
  readonly manager: Manager
  /** There was a daemon before this one. */
  readonly continued: boolean
  readonly untold: readonly Telling[]
  /** Begins where that one ended; `connected`: watchers whose connection was kept. */
  readonly goOn: (connected: readonly string[]) => void
}

/** The page, what the daemon before left, and the manager that goes on from there. `sources`: the names of those that may speak. */
export function openManager(parts: Parts, sources: readonly string[], closeLater: CloseLater): OpenedManager {
  const { addon, paths, config, log, freeze, kernelRandom, memory } = parts
  const opened = createOrContinuePage(paths.page, { native: addon, id: kernelRandom.drawId() })
  const { page, created, repaired } = opened
  closeLater(() => page.close())
  const store = new StateStore(paths.state, log)
  const left = store.load()
  const saved = beginning(page.snapshot(), left, config, addon.bootTimeNs(), repaired)
  const manager = new Manager({
    addon,
    page,
    kernelRandom,
    memory,
    freezer: freeze,
    enforce: (watcher, policy) => enforce(addon, watcher, policy, manager.audience.pidfdOf(watcher.id)),
    log,
    store,
    saved,
    sources: [...sources, 'host'],
    fatal: (error) => {
      log.error(`cannot go on: ${error.message}`)
      // Whoever supervises starts another one, which finds what this one could not finish.
      process.exit(1)
    },
    record: (state) => {
      recordGeneration(paths.journal, state, log)
      tellStatus(addon, state.generation, log)
    },
  })
  closeLater(() => closeManager(manager))
  tellBeginning(page, created, repaired, log)
  const continued = !created || left !== undefined
  const goOn = (connected: readonly string[]): void => {
    if (continued) restart(manager, connected)
  }
  return { manager, continued, untold: saved.untold ?? [], goOn }
}

/** Nobody is left frozen, not even by a daemon that cannot start. */
export async function closeManager(manager: Manager): Promise<void> {
  await release(manager)
  manager.close()
}

/** What `systemctl status` shows. Nobody depends on it, so a service manager that cannot be told is no failure. */
function tellStatus(addon: NativeAddon, generation: number, log: Log): void {
  try {
    notifyServiceManager(addon, `STATUS=generation ${generation}`)
  } catch (error) {
    log.warning((error as Error).message)
  }
}

function tellBeginning(page: PageWriter, created: boolean, repaired: boolean, log: Log): void {
  const { generation, id } = page.snapshot()
  const how = created ? 'begins with' : 'goes on with'
  log.info(`${page.path} ${how} generation ${generation} (${id})`)
  if (repaired) log.warning('the daemon before this one died while it wrote the page; the page was mended')
}
