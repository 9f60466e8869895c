import type { NativeAddon } from 'snapsafe/native'
import type { MethodHandlers, Methods, ServerCall } from 'snapsafe/protocol'
import type { KernelRandomDoor } from '../system/kernel-random.ts'
import type { MemoryGuard } from '../system/protected-memory.ts'
import { apiError } from './api-error.ts'
import { bump } from './bump.ts'
import type { Caller } from './caller.ts'
import type { Config } from './config.ts'
import type { Freeze } from './freeze.ts'
import { getLog } from './get-log.ts'
import type { KeptConnection } from './kept-connection.ts'
import type { Log } from './log.ts'
import type { Manager } from './manager.ts'
import { protectMemory } from './protect-memory.ts'
import { quiesce } from './quiesce.ts'
import { resume } from './resume.ts'
import type { SourceBoard } from './source-board.ts'
import { viewState, viewWatchers } from './view.ts'
import { wait } from './wait.ts'
import { watch } from './watch.ts'
import { confirm, confirmQuiesce, leave } from './watcher-calls.ts'

/** What every method gets. */
export interface ApiContext {
  readonly addon: NativeAddon
  readonly manager: Manager
  readonly config: Config
  readonly log: Log
  readonly sources: SourceBoard
  /** Has every source look at once, and report what it sees. */
  readonly sampleSources: () => void
  readonly kernelRandom: KernelRandomDoor
  readonly memory: MemoryGuard
  readonly freeze: Pick<Freeze, 'possible' | 'describe'>
  readonly caller: Caller
  readonly connection: KeptConnection
}

type Access = 'everybody' | 'privileged'

type Table = {
  readonly [K in keyof Methods]: {
    readonly access: Access
    readonly run: (
      call: ServerCall<Methods[K]['parameters'], Methods[K]['reply']>,
      context: ApiContext,
    ) => Promise<void> | void
  }
}

/** Every method, and who may call it. */
const table: Table = {
  GetState: {
    access: 'everybody',
    run: (call, { manager, caller }) => call.reply({ state: viewState(manager.state, caller) }),
  },
  Watch: { access: 'everybody', run: watch },
  Confirm: { access: 'everybody', run: confirm },
  ConfirmQuiesce: { access: 'everybody', run: confirmQuiesce },
  Leave: { access: 'everybody', run: leave },
  Wait: { access: 'everybody', run: wait },
  ListWatchers: {
    access: 'everybody',
    run: (call, { manager, caller }) => call.reply({ watchers: viewWatchers(manager.state, caller) }),
  },
  ListSources: {
    access: 'everybody',
    run: (call, { sources }) => call.reply({ sources: sources.list() }),
  },
  GetFreeze: {
    access: 'everybody',
    run: (call, { freeze }) => call.reply({ possible: freeze.possible, detail: freeze.describe() }),
  },
  GetLog: { access: 'everybody', run: getLog },
  ProtectMemory: { access: 'everybody', run: protectMemory },
  Quiesce: { access: 'privileged', run: quiesce },
  Resume: { access: 'privileged', run: resume },
  Bump: { access: 'privileged', run: bump },
}

/** The handlers of one connection. */
export function apiFor(context: ApiContext): MethodHandlers<Methods> {
  const handlers = Object.entries(table).map(([name, { access, run }]) => {
    const handler = async (call: never) => {
      if (access === 'privileged' && !context.caller.privileged) {
        const { group } = context.config.daemon
        throw apiError('PermissionDenied', { required: `root, or a member of the group ${group}` })
      }
      await run(call, context)
    }
    return [name, handler]
  })
  return Object.fromEntries(handlers)
}
