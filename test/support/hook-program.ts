import type { RestoreHookOptions, SnapshotHookOptions } from 'snapsafe'
import type { DaemonProcess } from './daemon-process.ts'
import { LibraryProgram } from './library-program.ts'

const source = `
import { beforeSnapshot, generation, guard, onRestore, ready } from 'snapsafe'
import { loadNative } from 'snapsafe/native'
import { isMainThread, parentPort, threadId, Worker } from 'node:worker_threads'

const tell = isMainThread ? say : (value) => parentPort.postMessage({ thread: threadId, ...value })
const hooks = new Map()
const held = new Map()
const workers = []
const behaviours = {
  ok: () => {},
  fail: () => { throw new Error('the pool is gone') },
  hang: () => new Promise(() => {}),
  // Goes on when the test says so; tells when its signal is aborted.
  hold: ({ generation, signal }, name) => new Promise((resolve) => {
    held.set(name, resolve)
    signal.addEventListener('abort', () => tell({ aborted: name, generation, reason: signal.reason.name }))
  }),
}
const commands = {
  async add({ behave = 'ok', options = {}, abortable }) {
    const over = abortable ? new AbortController() : undefined
    const hook = onRestore(({ signal, ...event }) => {
      tell({ run: hook.name, ...event, page: generation.number, reseeds: loadNative().addon.openSSLReseedCount() })
      return behaviours[behave]({ ...event, signal }, hook.name)
    }, { ...options, ...(over && { signal: over.signal }) })
    hooks.set(hook.name, { hook, over })
    await hook.registered
    tell({ added: hook.name, connected: hook.connected })
  },
  // Says \`prepare\` when it is asked, and \`over\` when the snapshot is.
  async prepare({ behave = 'ok', options }) {
    const hook = beforeSnapshot(({ reason, signal }) => {
      tell({ prepare: options.name, ...(reason !== undefined && { reason }) })
      return behaviours[behave]({ signal }, options.name)
    }, { ...options, afterwards: ({ restored, generation }) => tell({ over: options.name, restored, generation }) })
    hooks.set(hook.name, { hook })
    await hook.registered
    tell({ added: hook.name })
  },
  guard() { try { tell({ guarded: guard((made) => made) }) } catch (error) { tell({ refused: error.name }) } },
  ready({ options }) { ready(options).then((state) => tell({ ready: state }), (error) => tell({ late: error.message })) },
  release({ name }) { held.get(name)(); tell({ released: name }) },
  close({ name }) { const { hook } = hooks.get(name); hook.close(); tell({ closed: name, connected: hook.connected }) },
  abort({ name }) { const { hook, over } = hooks.get(name); over.abort(); tell({ closed: name, connected: hook.connected }) },
  reseeds() { tell({ reseeds: loadNative().addon.openSSLReseedCount() }) },
  async terminate() { await workers.pop().terminate(); say({ terminated: true }) },
  thread() { const worker = new Worker(new URL(import.meta.url)); workers.push(worker); worker.on('message', say) },
}
const take = (command) => command.inThread
  ? workers.at(-1).postMessage({ ...command, inThread: false })
  : commands[command.do](command)
if (isMainThread) listen((command) => void take(command)).then(() => process.exit())
else { parentPort.on('message', take); tell({ started: true }) }
`

export type Behaviour = 'ok' | 'fail' | 'hang' | 'hold'

/** A program whose hooks do what the test says. It says `run` or `prepare` when a handler begins, before that does anything. */
export class HookProgram extends LibraryProgram {
  constructor({ runtimeDir }: Pick<DaemonProcess, 'runtimeDir'>) {
    super(source, { runtimeDir })
  }

  /** Registers a hook, and resolves with its name when the daemon knows of it. */
  async add(
    name: string | undefined,
    behave: Behaviour = 'ok',
    options: Omit<RestoreHookOptions, 'signal' | 'name'> & { abortable?: boolean; inThread?: boolean } = {},
  ): Promise<string> {
    const { abortable, inThread, ...others } = options
    const hook = { ...others, ...(name !== undefined && { name }) }
    const { added } = await this.ask({ do: 'add', behave, abortable, inThread, options: hook })
    return added
  }

  /** Registers a hook before snapshots; resolves when the daemon knows of it. */
  async prepare(
    name: string,
    behave: Behaviour = 'ok',
    options: Omit<SnapshotHookOptions, 'signal' | 'name' | 'afterwards'> = {},
  ): Promise<void> {
    await this.ask({ do: 'prepare', behave, options: { ...options, name } })
  }
}
