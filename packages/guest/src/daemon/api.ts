import type { MethodHandlers, Methods, ServerCall } from 'snapsafe/protocol'
import { serviceErrors } from 'snapsafe/protocol'
import { checkConfirmation } from '../orchestrator/machine.ts'
import { apiError } from './api-error.ts'
import type { Caller } from './caller.ts'
import type { Config } from './config.ts'
import type { Manager } from './manager.ts'
import type { SourceBoard } from './source-board.ts'
import { viewState, viewWatchers } from './view.ts'
import { wait } from './wait.ts'
import { watch } from './watch.ts'

/** SysGenID's counter is a signed 32-bit number, and half of the page's is left for counting on. */
const maxMinimum = 2 ** 31 - 1
const maxReasonChars = 200
const maxFailureChars = 1000

/** What every method gets. */
export interface ApiContext {
  readonly manager: Manager
  readonly config: Config
  readonly sources: SourceBoard
  readonly caller: Caller
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
  Wait: { access: 'everybody', run: wait },
  ListWatchers: {
    access: 'everybody',
    run: (call, { manager, caller }) => call.reply({ watchers: viewWatchers(manager.state, caller) }),
  },
  ListSources: {
    access: 'everybody',
    run: (call, { sources }) => call.reply({ sources: sources.list() }),
  },
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

function confirm(call: ServerCall<Methods['Confirm']['parameters']>, { manager, caller }: ApiContext): void {
  const { watcher, generation, failure } = call.parameters
  const verdict = checkConfirmation(manager.state, watcher, caller, generation)
  if (verdict === 'no-such-watcher') throw apiError('NoSuchWatcher', {})
  if (verdict === 'not-owner') throw apiError('NotOwner', {})
  if (verdict === 'stale') throw apiError('StaleGeneration', { current: manager.state.generation })
  manager.dispatch({
    type: 'confirmed',
    nowUsec: manager.nowUsec(),
    id: watcher,
    generation,
    ...(failure != null && { failure: printable(failure.slice(0, maxFailureChars)) }),
  })
  call.reply({})
}

async function bump(
  call: ServerCall<Methods['Bump']['parameters'], Methods['Bump']['reply']>,
  { manager, caller }: ApiContext,
): Promise<void> {
  const { reason, minimum } = call.parameters
  if (minimum != null && (minimum < 0 || minimum > maxMinimum)) {
    throw serviceErrors.invalidParameter('minimum')
  }
  if (reason != null && reason.length > maxReasonChars) throw serviceErrors.invalidParameter('reason')
  const changed = new Promise<void>((resolve) => {
    const unsubscribe = manager.subscribe((change) => {
      if (change !== 'generation') return
      unsubscribe()
      resolve()
    })
  })
  manager.report(
    {
      source: 'command',
      kind: 'command',
      cause: 'command',
      detail: `process ${caller.pid} of user ${caller.uid} asked for a new generation`,
      kernelReseeded: false,
    },
    { ...(reason != null && { reason: printable(reason) }), ...(minimum != null && { minimum }) },
  )
  await changed
  call.reply({ state: viewState(manager.state, caller) })
}

/** Texts of callers are shown on terminals, root's among them: without control characters, as names are. */
function printable(text: string): string {
  return text.replace(/\p{C}+/gu, ' ')
}
