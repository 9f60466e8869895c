import { createServer, type Server } from 'node:net'
import {
  dispatchTo,
  generationInterface,
  interfaceName,
  type MemoryEvent,
  type Methods,
  type PlannedSnapshot,
  type ServerCall,
  ServerConnection,
  type State,
  socketPath,
  VarlinkError,
  type WatchEvent,
} from 'snapsafe/protocol'
import { eventually } from './eventually.ts'

type ProtectCall = ServerCall<Methods['ProtectMemory']['parameters'], Methods['ProtectMemory']['reply']>
type WatchCall = ServerCall<Methods['Watch']['parameters'], Methods['Watch']['reply']>

/** Time goes on from daemon to daemon. */
let lastChangeUsec = 0

type WaitCall = ServerCall<Methods['Wait']['parameters'], Methods['Wait']['reply']>

/** A watcher that has asked to be registered; nothing is answered by itself. */
export class ScriptedWatch {
  readonly parameters: Methods['Watch']['parameters']
  readonly id: string
  /** Resolves when its connection is closed. */
  readonly ended: Promise<void>
  readonly #call: WatchCall

  constructor(call: WatchCall, id: string) {
    this.#call = call
    this.parameters = call.parameters
    this.id = id
    this.ended = aborted(call.signal)
  }

  tell(event: WatchEvent, state: State, outdated: boolean): void {
    this.#call.replyContinues({ watcher: this.id, event, outdated, state })
  }
}

/** Memory that is to be protected; nothing is answered by itself. */
export class ScriptedMemory {
  readonly parameters: Methods['ProtectMemory']['parameters']
  readonly #call: ProtectCall

  constructor(call: ProtectCall) {
    this.#call = call
    this.parameters = call.parameters
  }

  tell(event: MemoryEvent, generation: number): void {
    this.#call.replyContinues({ event, generation })
  }
}

/** In place of a daemon, where a test needs an order of events that a real one gives only by chance. */
export class ScriptedDaemon {
  readonly watches: ScriptedWatch[] = []
  readonly memories: ScriptedMemory[] = []
  readonly confirms: Methods['Confirm']['parameters'][] = []
  /** The answers to `quiesce`. */
  readonly answers: Methods['ConfirmQuiesce']['parameters'][] = []
  readonly leaves: Methods['Leave']['parameters'][] = []
  answersLeave = true
  /** Calls of Wait; nothing is answered by itself. */
  readonly waits: WaitCall[] = []
  /** Names of errors that answer the next confirmations, of either kind. */
  readonly refusals: string[] = []
  readonly #server: Server
  readonly #connections = new Set<ServerConnection>()

  static async listen(runtimeDir: string): Promise<ScriptedDaemon> {
    const daemon = new ScriptedDaemon()
    await new Promise<void>((resolve, reject) => {
      daemon.#server.once('error', reject).listen(socketPath(runtimeDir), resolve)
    })
    return daemon
  }

  private constructor() {
    const dispatch = dispatchTo<Methods>({
      Watch: async (call) => {
        const watch = new ScriptedWatch(call, String(this.watches.length + 1))
        this.watches.push(watch)
        await watch.ended
      },
      ProtectMemory: async (call) => {
        this.memories.push(new ScriptedMemory(call))
        await new Promise<void>((resolve) => call.signal.addEventListener('abort', () => resolve()))
      },
      Confirm: async (call) => {
        this.confirms.push(call.parameters)
        this.#refuse({ current: call.parameters.generation + 1 })
        call.reply({})
      },
      ConfirmQuiesce: async (call) => {
        this.answers.push(call.parameters)
        this.#refuse({})
        call.reply({})
      },
      Leave: async (call) => {
        this.leaves.push(call.parameters)
        if (this.answersLeave) call.reply({})
        else await aborted(call.signal)
      },
      Wait: async (call) => {
        this.waits.push(call)
        await aborted(call.signal)
      },
    })
    this.#server = createServer((socket) => {
      const connection = new ServerConnection(socket, {
        interfaces: [generationInterface()],
        service: { vendor: 'test', product: 'test', version: '0', url: '' },
        dispatch,
        internalErrorName: `${interfaceName}.Internal`,
        onInternalError: () => {},
        onClose: () => this.#connections.delete(connection),
      })
      this.#connections.add(connection)
    })
  }

  /** How many are open. */
  get connections(): number {
    return this.#connections.size
  }

  /** The state of a generation, which begins later than all states before it; but for `others`. */
  state(generation: number, others: Partial<State> = {}): State {
    lastChangeUsec += 1
    return {
      generation,
      generationId: generation.toString(16).padStart(32, '0'),
      phase: 'adjusting',
      cause: 'clone',
      evidence: [],
      kernelRandom: 'kernel',
      changedAtUsec: lastChangeUsec,
      trackedWatchers: 0,
      outdatedWatchers: 0,
      degraded: false,
      missed: [],
      ...others,
    }
  }

  /** `state` with the snapshot of this number planned. */
  planned(state: State, quiesce: number, others: Partial<PlannedSnapshot> = {}): State {
    const counts = { prepared: 0, of: 1, frozen: [], running: [] }
    return { ...state, phase: 'quiescing', quiesce: { quiesce, deadlineUsec: 1, ...counts, ...others } }
  }

  /** The last watcher of this name, when at least `count` of that name have come. */
  watch(name: string, count = 1): Promise<ScriptedWatch> {
    return eventually(`${name} asks to be registered`, () => {
      const found = this.watches.filter(({ parameters }) => parameters.name === name)
      return found.length >= count ? found.at(-1) : undefined
    })
  }

  /** The last memory, when at least `count` have come. */
  memory(count = 1): Promise<ScriptedMemory> {
    return eventually(`${count} memories are to be protected`, () => {
      return this.memories.length >= count ? this.memories.at(-1) : undefined
    })
  }

  /** The confirmations of a watcher, when there are so many. */
  confirmed(watch: ScriptedWatch, count = 1): Promise<Methods['Confirm']['parameters'][]> {
    return eventually(`${watch.parameters.name} confirms ${count} times`, () => {
      const found = this.confirms.filter(({ watcher }) => watcher === watch.id)
      return found.length >= count && found
    })
  }

  /** The answers of a watcher to `quiesce`, when there are so many. */
  answered(watch: ScriptedWatch, count = 1): Promise<Methods['ConfirmQuiesce']['parameters'][]> {
    return eventually(`${watch.parameters.name} answers ${count} times`, () => {
      const found = this.answers.filter(({ watcher }) => watcher === watch.id)
      return found.length >= count && found
    })
  }

  /** The last call of Wait, when at least `count` have come. */
  waiting(count = 1): Promise<WaitCall> {
    return eventually('somebody waits', () => (this.waits.length >= count ? this.waits.at(-1) : undefined))
  }

  /** Closes all connections, and goes on listening. */
  async drop(): Promise<void> {
    await Promise.all([...this.#connections].map((connection) => connection.close()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    await this.drop()
    await closed
  }

  #refuse(parameters: object): void {
    const refusal = this.refusals.shift()
    if (refusal) throw new VarlinkError(`${interfaceName}.${refusal}`, parameters)
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
}
