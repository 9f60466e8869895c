import { closeSync } from 'node:fs'
import type { MemoryEvent, Methods, ServerCall } from 'snapsafe/protocol'
import { NotProtectableError } from '../system/not-protectable-error.ts'
import type { ProtectedRegion } from '../system/protected-memory.ts'
import type { ApiContext } from './api.ts'
import { apiError } from './api-error.ts'

/** Each is an open file of the daemon, and a write before anybody learns of a restore. */
const maxRegions = 4096
/** Of one user without privilege, who must not hold up the others. */
const maxRegionsPerUser = 256
/** Likewise: 16 MiB take some milliseconds to overwrite. */
const maxBytesPerUser = 2 ** 24

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
  const { pid, uid, privileged } = caller
  if (!privileged) {
    limit('protected memory of one user', memory.count(uid) + 1, maxRegionsPerUser)
    limit('bytes of protected memory of one user', memory.bytes(uid) + length, maxBytesPerUser)
  }
  limit('protected memory', memory.count() + 1, maxRegions)
  const pidfd = caller.openPidfd()
  try {
    return memory.add({ pid, uid, fd, length, pidfd })
  } catch (error) {
    if (!(error instanceof NotProtectableError)) throw error
    throw apiError('NotProtectable', { reason: error.message })
  } finally {
    if (pidfd !== undefined) closeSync(pidfd)
  }
}

function limit(name: string, wanted: number, maximum: number): void {
  if (wanted > maximum) throw apiError('LimitReached', { limit: name, maximum })
}
