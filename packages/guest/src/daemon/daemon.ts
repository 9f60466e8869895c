import { chmodSync, rmSync, statSync } from 'node:fs'
import { loadNative, type NativeAddon } from 'snapsafe/native'
import { createOrContinuePage, type PageWriter } from 'snapsafe/protocol'
import { kmsgSource } from '../sources/kmsg.ts'
import type { Source, SourceEvidence } from '../sources/source.ts'
import { FdStore } from '../system/fd-store.ts'
import { groupId } from '../system/group.ts'
import { type KernelRandomDoor, kernelRandomDoor } from '../system/kernel-random.ts'
import { makeDirectory } from '../system/make-directory.ts'
import { connectionLimit } from '../system/open-files.ts'
import { MemoryGuard } from '../system/protected-memory.ts'
import { type InheritedDescriptors, inheritedDescriptors, notifyServiceManager } from '../system/systemd.ts'
import { version } from '../version.ts'
import { adopt, restart } from './adopt.ts'
import { beginning } from './beginning.ts'
import type { Config } from './config.ts'
import { enforce } from './enforce.ts'
import { Freeze } from './freeze.ts'
import { recordGeneration } from './journal.ts'
import { takeLock } from './lock.ts'
import type { Log } from './log.ts'
import { Manager } from './manager.ts'
import { type DaemonPaths, isSystemDaemon } from './paths.ts'
import { release } from './release.ts'
import { ApiServer, temporarySocket } from './server.ts'
import { SourceBoard } from './source-board.ts'
import { type StartedSources, startSources } from './start-sources.ts'
import { StateStore } from './store.ts'
import type { Telling } from './untold.ts'

const writableByOthersMask = 0o002
/** unix(7): sun_path has 108 bytes, of which the last is NUL. */
const maxSocketPathBytes = 107

/** The daemon cannot start here; the message says why and what to do. */
export class StartError extends Error {
  readonly code = 'ERR_SNAPSAFE_START'
  override readonly name = 'StartError'
}

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
    const closeLater = (close: () => void | Promise<void>) => daemon.#closers.unshift(close)
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
      const { manager, continued, untold, goOn } = openManager(parts, closeLater)
      const board = new SourceBoard()
      const inherited = inheritedDescriptors()
      // Nobody is let in, and nothing but Watch goes on, before the sources look.
      const api = { ...parts, manager, board, inherited, sampleSources: () => sources.sample() }
      const { server, connected } = openServer({ ...api, untold }, closeLater)
      goOn(connected)
      const sources: StartedSources = await startSources(enabledSources(config, addon), config.sources, {
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
      await listen({ ...api, server }, closeLater)
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

interface Parts {
  readonly addon: NativeAddon
  readonly paths: DaemonPaths
  readonly config: Config
  readonly log: Log
  readonly freeze: Freeze
  readonly kernelRandom: KernelRandomDoor
  readonly memory: MemoryGuard
}

type CloseLater = (close: () => void | Promise<void>) => void

interface OpenedManager {
  readonly manager: Manager
  /** There was a daemon before this one. */
  readonly continued: boolean
  readonly untold: readonly Telling[]
  /** Begins where that one ended; `connected`: watchers whose connection was kept. */
  readonly goOn: (connected: readonly string[]) => void
}

/** The page, what the daemon before left, and the manager that goes on from there. */
function openManager(parts: Parts, closeLater: CloseLater): OpenedManager {
  const { addon, paths, config, log, freeze, kernelRandom, memory } = parts
  const opened = createOrContinuePage(paths.page, { native: addon, id: kernelRandom.drawId() })
  const { page, created, repaired } = opened
  closeLater(() => page.close())
  const store = new StateStore(paths.state, log)
  const left = store.load()
  const saved = beginning(page.snapshot(), left, config, addon.bootTimeNs())
  const manager = new Manager({
    addon,
    page,
    kernelRandom,
    memory,
    freezer: freeze,
    enforce: (watcher, policy) => enforce(addon, watcher, policy),
    log,
    store,
    saved,
    sources: [...enabledSources(config, addon).map(({ name }) => name), 'host'],
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
    // Without what the daemon before knew, an id on the page may be of another generation than the number.
    if (repaired && saved.state !== left?.state) manager.report(brokenPage)
  }
  return { manager, continued, untold: saved.untold ?? [], goOn }
}

/** Nobody is left frozen, not even by a daemon that cannot start. */
async function closeManager(manager: Manager): Promise<void> {
  await release(manager)
  manager.close()
}

interface ApiParts extends Parts {
  readonly manager: Manager
  readonly board: SourceBoard
  readonly sampleSources: () => void
  readonly inherited: InheritedDescriptors
}

/** The service, with the connections that were kept for it; returns whose those are. It does not listen yet. */
function openServer(
  parts: ApiParts & { untold: readonly Telling[] },
  closeLater: CloseLater,
): { server: ApiServer; connected: readonly string[] } {
  const { addon, config, log, kernelRandom, memory, manager, board, sampleSources, inherited, untold } = parts
  const { stored } = inherited
  const fdStore = new FdStore({ addon, stored, warn: log.warning })
  const server = new ApiServer({
    context: { addon, manager, config, log, sources: board, sampleSources, kernelRandom, memory },
    fdStore,
    maxConnections: connectionLimit(config.daemon.max_connections, log),
    group: groupId(config.daemon.group),
    service: { vendor: 'snapsafe', product: 'snapsafed', version, url: '' },
  })
  closeLater(() => closeServer(manager, server))
  return { server, connected: adopt(stored, { addon, manager, server, fdStore, log, untold }) }
}

async function closeServer(manager: Manager, server: ApiServer): Promise<void> {
  // First: a watcher whose connection is closed here has not left, and owes what it owed.
  await closeManager(manager)
  await server.close()
}

/** Lets everybody in. */
async function listen(
  { paths, manager, inherited, server }: ApiParts & { server: ApiServer },
  closeLater: CloseLater,
): Promise<void> {
  const { listening } = inherited
  await server.listen(paths.socket, listening)
  closeLater(async () => {
    await closeServer(manager, server)
    if (listening === undefined) rmSync(paths.socket, { force: true })
  })
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

function makeRuntimeDir({ runtimeDir: path, socket }: DaemonPaths): void {
  try {
    // libuv would cut it off without a word, and bind another path.
    if (Buffer.byteLength(temporarySocket(socket)) > maxSocketPathBytes)
      throw new Error('its path is too long for a socket')
    makeDirectory(path)
    // A directory such as /tmp: others could put their own socket in our place, and its mode is not ours to change.
    const { mode, uid } = statSync(path)
    if ((mode & writableByOthersMask) !== 0) throw new Error('everybody may write to it')
    if (uid !== 0 && uid !== process.geteuid?.()) throw new Error(`it belongs to user ${uid}`)
    chmodSync(path, 0o755)
  } catch (error) {
    throw new StartError(
      `cannot use the runtime directory ${path}: ${(error as Error).message}; run as root, or name another with --runtime-dir`,
    )
  }
}

function enabledSources(config: Config, addon: NativeAddon): Source[] {
  return config.sources.kmsg === 'off' ? [] : [kmsgSource(addon)]
}

/** What a daemon that died while it wrote the page leaves: an id that may be of another generation than the number. */
const brokenPage: SourceEvidence = {
  source: 'page',
  kind: 'edge',
  cause: 'ambiguous',
  detail: 'the daemon before this one died while it wrote the page',
  kernelReseeded: false,
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
