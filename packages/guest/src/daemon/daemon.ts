import { loadNative, type NativeAddon } from 'snapsafe/native'
import { kmsgSource } from '../sources/kmsg.ts'
import type { Source } from '../sources/source.ts'
import { type KernelRandomDoor, kernelRandomDoor } from '../system/kernel-random.ts'
import { MemoryGuard } from '../system/protected-memory.ts'
import { inheritedDescriptors, notifyServiceManager } from '../system/systemd.ts'
import type { Config } from './config.ts'
import { Freeze } from './freeze.ts'
import { takeLock } from './lock.ts'
import type { Log } from './log.ts'
import { openManager } from './open-manager.ts'
import { openServer } from './open-server.ts'
import type { CloseLater } from './parts.ts'
import { type DaemonPaths, isSystemDaemon } from './paths.ts'
import { makeRuntimeDir } from './runtime-dir.ts'
import { SourceBoard } from './source-board.ts'
import { StartError } from './start-error.ts'
import { type StartedSources, startSources } from './start-sources.ts'

/** The composition: everything that the daemon consists of, from the lock to the last source. */
export class Daemon {
  readonly #closers: (() => void | Promise<void>)[]

  private constructor(closers: (() => void | Promise<void>)[]) {
    this.#closers = closers
  }

  /** Resolves when the page is there, the socket answers, and every restore from now on is seen. */
  static async start(paths: DaemonPaths, config: Config, log: Log): Promise<Daemon> {
    const addon = requireAddon()
    makeRuntimeDir(paths)
    const daemon = new Daemon([])
    const closeLater: CloseLater = (close) => daemon.#closers.unshift(close)
    try {
      const lock = takeLock(addon, paths.lock)
      closeLater(() => lock.close())
      const isSystem = isSystemDaemon(paths.runtimeDir)
      const freeze = new Freeze({ config: config.freeze, record: paths.frozen, isSystem, log })
      log.info(freeze.describe())
      // Whatever goes wrong from here on: nobody is left frozen.
      closeLater(() => freeze.thaw())
      const kernelRandom = openKernelRandom(addon, config, isSystem, log)
      closeLater(() => kernelRandom.close())
      const memory = new MemoryGuard(addon)
      closeLater(() => memory.close())
      const parts = { addon, paths, config, log, freeze, kernelRandom, memory }
      const enabled = enabledSources(config, addon)
      const names = enabled.map(({ name }) => name)
      const { manager, continued, untold, goOn } = openManager(parts, names, closeLater)
      const board = new SourceBoard()
      const inherited = inheritedDescriptors()
      // Nobody is let in, and nothing but Watch goes on, before the sources look.
      const api = { ...parts, manager, board, inherited, untold, sampleSources: () => sources.sample() }
      const server = openServer(api, closeLater)
      goOn(server.connected)
      const sources: StartedSources = await startSources(enabled, config.sources, {
        manager,
        continued,
        log,
        memories: manager.memories,
        board,
      })
      closeLater(() => sources.close())
      // Only now, when a restore that was missed is known: what was frozen is thawed in its generation, or in one of its own.
      const detail = 'the daemon was started again while a snapshot was planned'
      manager.dispatch({ type: 'release', nowUsec: manager.nowUsec(), detail })
      await server.listen()
      notifyServiceManager(addon, `READY=1\nSTATUS=generation ${manager.state.generation}`)
      closeLater(() => notifyServiceManager(addon, 'STOPPING=1'))
      return daemon
    } catch (error) {
      await daemon.close()
      throw error
    }
  }

  /**
   * Lets go of everything, the last taken first. The page stays: who has mapped it goes on reading it. Rejects with the first
   * failure, when the rest is let go of all the same.
   */
  async close(): Promise<void> {
    const failures: unknown[] = []
    for (let close = this.#closers.shift(); close; close = this.#closers.shift()) {
      try {
        await close()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
}

function openKernelRandom(addon: NativeAddon, config: Config, isSystem: boolean, log: Log): KernelRandomDoor {
  const { mode } = config.kernel_random
  const ours = mode === 'on' || (mode === 'auto' && isSystem)
  if (!ours) log.info('kernel_random is off: this daemon leaves the random generator of the system alone')
  return kernelRandomDoor(addon, ours)
}

function requireAddon(): NativeAddon {
  const { addon, reason } = loadNative()
  if (addon) return addon
  throw new StartError(`${reason}; without it the daemon cannot tell who calls it, nor reseed the kernel`)
}

function enabledSources(config: Config, addon: NativeAddon): Source[] {
  return config.sources.kmsg === 'off' ? [] : [kmsgSource(addon)]
}
