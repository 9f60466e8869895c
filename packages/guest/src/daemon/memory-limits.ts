import type { MemoryGuard } from '../system/protected-memory.ts'
import { apiError } from './api-error.ts'
import type { Caller } from './caller.ts'

/** Each is an open file of the daemon, and a write before anybody learns of a restore. */
const maxRegions = 4096
/** Of them, kept for root and the group: all users together cannot use them up. */
const reservedRegions = 256
/** Of one user without privilege, who must not hold up the others. */
const maxRegionsPerUser = 256
/** Likewise: 16 MiB take some milliseconds to overwrite. */
const maxBytesPerUser = 2 ** 24

/** Throws LimitReached where the caller may not have so many bytes protected besides what there is. */
export function checkMemoryLimits(
  { uid, privileged }: Pick<Caller, 'uid' | 'privileged'>,
  length: number,
  memory: Pick<MemoryGuard, 'count' | 'bytes'>,
): void {
  if (!privileged) {
    limit('protected memory of one user', memory.count(uid) + 1, maxRegionsPerUser)
    limit('bytes of protected memory of one user', memory.bytes(uid) + length, maxBytesPerUser)
  }
  limit('protected memory', memory.count() + 1, privileged ? maxRegions : maxRegions - reservedRegions)
}

function limit(name: string, wanted: number, maximum: number): void {
  if (wanted > maximum) throw apiError('LimitReached', { limit: name, maximum })
}
