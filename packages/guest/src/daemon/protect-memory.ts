import { closeSync } from 'node:fs'
import type { MemoryEvent, Methods, ServerCall } from 'snapsafe/protocol'
import { NotProtectableError } from '../system/not-protectable-error.ts'
import type { ProtectedRegion } from '../system/protected-memory.ts'
import type { ApiContext } from './api.ts'
import { apiError } from './api-error.ts'
import { checkMemoryLimits } from './memory-limits.ts'

type ProtectCall = ServerCall<Methods['ProtectMemory']['parameters'], Methods['ProtectMemory']['reply']>

/** ProtectMemory: holds the memory, and tells of each time that it was overwritten, until the connection is closed. */
export async function protectMemory(call: ProtectCall, context: ApiContext): Promise<void> {
  const { manager, memory } = context
  const region = addRegion(call, context)
  const tell = (event: MemoryEvent): void => {
    call.replyContinues({ event, generation: manager.state.generation })
  }
  const unsubscribe = memory.onWipe(() => tell('wiped'))
  try {
    tell('registered')
    await new Promise<void>((resolve) => {
      call.signal.addEventListener('abort', () => resolve())
      if (call.signal.aborted) resolve()
    })
  } finally {
    unsubscribe()
    region.close()
  }
}

function addRegion({ parameters }: ProtectCall, { memory, caller }: ApiContext): ProtectedRegion {
  const { fd, length } = parameters
  const { pid, uid } = caller
  checkMemoryLimits(caller, length, memory)
  const peer = caller.openProcess()
  if (!peer) {
    throw apiError('NotProtectable', {
      reason: 'the process that connected has ended, or is of another PID namespace',
    })
  }
  try {
    return memory.add({ pid, uid, fd, length, pidfd: peer.pidfd })
  } catch (error) {
    if (!(error instanceof NotProtectableError)) throw error
    throw apiError('NotProtectable', { reason: error.message })
  } finally {
    closeSync(peer.pidfd)
  }
}
