import { closeSync } from 'node:fs'
import { constants } from 'node:os'
import type { Methods, ServerCall, WatchEvent } from 'snapsafe/protocol'
import { serviceErrors } from 'snapsafe/protocol'
import type { WatcherOwner, WatcherRecord } from '../orchestrator/watcher-table.ts'
import type { PeerProcess } from '../system/peer-process.ts'
import { isGone } from '../system/process-status.ts'
import type { ApiContext } from './api.ts'
import { apiError } from './api-error.ts'
import type { WatcherLink } from './change.ts'
import { policyFor } from './policy.ts'
import { isTold, type Telling, untoldTo } from './untold.ts'
import { viewState } from './view.ts'

const maxNameChars = 128
/** u32, as on the page. */
const maxGeneration = 2 ** 32 - 1

type WatchCall = ServerCall<Methods['Watch']['parameters'], Methods['Watch']['reply']>

/** Watch: registers, and tells of what the watcher wants to know until the connection is closed. */
export async function watch(call: WatchCall, context: ApiContext): Promise<void> {
  const { manager, caller } = context
  check(call, context)
  const id = String(manager.state.lastWatcher + 1)
  // Who connected may have ended, and left its connection to another: then nobody can be signalled or ended for this watcher.
  const process = caller.openProcess()
  const owner = { pid: caller.pid, uid: caller.uid, startTicks: process?.startTicks ?? 0 }
  await serve(call, context, { id, owner, process }, ({ reply }) => {
    const nowUsec = manager.nowUsec()
    manager.dispatch({ type: 'watcher-joined', nowUsec, id, owner, ...record(call, context, owner) })
    reply('registered')
  })
}

/** Goes on with the Watch of a watcher whose connection has outlived the daemon before this one. */
export async function watchAgain(
  call: WatchCall,
  context: ApiContext,
  watcher: WatcherRecord,
  untold: readonly Telling[],
): Promise<void> {
  const process = ownerOf(watcher, context)
  await serve(call, context, { ...watcher, process }, ({ tell }) => {
    for (const event of untoldTo(watcher, context.manager.state, untold)) tell(event)
  })
}

/** The parameters of the Watch that made a watcher what it is. */
export function parametersOf(watcher: WatcherRecord): Methods['Watch']['parameters'] {
  const { name, tracked, deadlineMs, stage, beforeSnapshot, registeredAtUsec, notify, signal } = watcher
  return {
    name,
    tracked,
    deadlineMs,
    stage,
    beforeSnapshot,
    registeredAtUsec,
    ...(notify !== undefined && { notify }),
    ...(signal !== undefined && { signal }),
  }
}

/** The process of a watcher whose connection was taken over, if it is still that of the connection. */
function ownerOf({ owner }: WatcherRecord, { caller }: ApiContext): PeerProcess | undefined {
  const process = caller.openProcess()
  if (!process || process.startTicks === owner.startTicks) return process
  closeSync(process.pidfd)
  return undefined
}

interface Served extends Pick<WatcherRecord, 'id' | 'owner'> {
  /** Its descriptor is closed when the watch ends. */
  readonly process: PeerProcess | undefined
}

/** Tells of what the watcher wants to know until the connection is closed; `begin` is called first. */
async function serve(
  call: WatchCall,
  context: ApiContext,
  { id, owner, process }: Served,
  begin: (say: { reply(event: WatchEvent): void; tell: WatcherLink['tell'] }) => void,
): Promise<void> {
  const { manager, caller, connection } = context
  const { stage = 'application', beforeSnapshot, notify } = given(call.parameters)
  let signal: (() => void) | undefined
  const reply = (event: WatchEvent): void => {
    const outdated = isTold(manager.state, id)
    call.replyContinues({ watcher: id, event, outdated, state: viewState(manager.state, caller) })
    connection.keep(id)
  }
  const tell: WatcherLink['tell'] = (event) => {
    if (event === 'generation') signal?.()
    if (event !== 'generation' || notify !== 'signal') reply(event)
  }
  const detach = manager.audience.attach(id, caller.uid, {
    stage,
    beforeSnapshot: beforeSnapshot ?? false,
    pidfd: process?.pidfd,
    tell,
  })
  try {
    signal = signalling(call, context, process)
    connection.keep(id)
    begin({ reply, tell })
    await new Promise<void>((resolve) => {
      call.signal.addEventListener('abort', () => resolve())
      if (call.signal.aborted) resolve()
    })
  } finally {
    detach()
    if (process) closeSync(process.pidfd)
    connection.release()
    const mayReturn = caller.pid > 0 && !isGone(owner.pid, owner.startTicks)
    manager.dispatch({ type: 'watcher-left', nowUsec: manager.nowUsec(), id, mayReturn })
  }
}

/** What the state machine is told of a watcher that registers. */
function record({ parameters }: WatchCall, { manager, config, caller }: ApiContext, owner: WatcherOwner) {
  const { name, tracked, deadlineMs, adjustedTo, registeredAtUsec, stage, beforeSnapshot, notify, signal } =
    given(parameters)
  const { deadline, max_deadline, wait_for } = config.watchers
  const nowUsec = manager.nowUsec()
  const isWaitedFor = wait_for === 'everybody' || caller.privileged
  return {
    name,
    tracked: (tracked ?? false) && isWaitedFor,
    stage: stage ?? 'application',
    deadlineMs: Math.min(deadlineMs ?? deadline, max_deadline),
    policy: policyFor(name, { ...owner, privileged: caller.privileged }, config.watchers),
    beforeSnapshot: (beforeSnapshot ?? false) && isWaitedFor,
    ...(notify !== undefined && { notify }),
    ...(signal !== undefined && { signal }),
    // Nobody is registered later than now, and so none is asked before those who come after it.
    registeredAtUsec: Math.min(registeredAtUsec ?? nowUsec, nowUsec),
    adjustedTo: adjustedTo ?? manager.state.generation,
  } as const
}

function check({ parameters }: WatchCall, { manager, config, caller }: ApiContext): void {
  const { name, deadlineMs, adjustedTo, registeredAtUsec } = given(parameters)
  // Names are shown on terminals and in logs.
  if (name.length === 0 || name.length > maxNameChars || /\p{C}/u.test(name)) {
    throw serviceErrors.invalidParameter('name')
  }
  if (adjustedTo !== undefined && (adjustedTo < 0 || adjustedTo > maxGeneration)) {
    throw serviceErrors.invalidParameter('adjustedTo')
  }
  if (deadlineMs !== undefined && deadlineMs < 1) throw serviceErrors.invalidParameter('deadlineMs')
  if (registeredAtUsec !== undefined && registeredAtUsec < 0) {
    throw serviceErrors.invalidParameter('registeredAtUsec')
  }
  // Whoever is privileged is limited by the number of connections alone: the services of a machine are mostly root's.
  const { max_per_user } = config.watchers
  if (!caller.privileged && manager.audience.watchersOf(caller.uid) >= max_per_user) {
    throw apiError('LimitReached', { limit: 'watchers.max_per_user', maximum: max_per_user })
  }
}

/** Sends the signal that the watcher asked for, if it did, to its process, and to no other that may come to have its pid. */
function signalling(
  { parameters }: WatchCall,
  { addon, log }: ApiContext,
  process: PeerProcess | undefined,
): (() => void) | undefined {
  const { notify } = parameters
  if (notify !== 'signal' && notify !== 'both') return undefined
  // It is of another PID namespace, or has ended.
  if (!process) throw serviceErrors.invalidParameter('notify')
  const name = parameters.signal ?? 'SIGUSR2'
  return () => {
    try {
      addon.pidfdSendSignal(process.pidfd, constants.signals[name])
    } catch (error) {
      log.warning(`cannot send ${name} to ${parameters.name}: ${(error as Error).message}`)
    }
  }
}

/** Varlink's null is the same as nothing. */
function given<T extends object>(parameters: T): { [K in keyof T]: Exclude<T[K], null> } {
  return Object.fromEntries(Object.entries(parameters).filter(([, value]) => value !== null)) as never
}
