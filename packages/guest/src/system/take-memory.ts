import { closeSync, writeSync } from 'node:fs'
import type { NativeAddon } from 'snapsafe/native'
import { NotProtectableError } from './not-protectable-error.ts'
import { isOfUser } from './process-status.ts'

/** include/uapi/linux/fcntl.h */
const sealShrink = 0x2
const sealGrow = 0x4
const sealWrite = 0x8
const sealFutureWrite = 0x10

export interface MemoryRequest {
  /** The process whose descriptor `fd` is. */
  readonly pid: number
  /** Who asks. */
  readonly uid: number
  readonly fd: number
  /** How many bytes are to be protected, from the first. */
  readonly length: number
  /** A descriptor of that process; it stays the caller's. */
  readonly pidfd: number
}

/**
 * Takes a memfd out of a process, as the very open file that it has there: so the daemon, which is root, never writes to
 * anything that the process cannot write to itself. Throws NotProtectableError. The descriptor is the caller's.
 */
export function takeMemory(addon: NativeAddon, request: MemoryRequest): number {
  const fd = takeDescriptor(addon, request)
  const fault = findFault(addon, fd, request.length)
  if (fault === undefined) return fd
  closeSync(fd)
  throw new NotProtectableError(`descriptor ${request.fd} of process ${request.pid}: ${fault}`)
}

function takeDescriptor(addon: NativeAddon, { pid, uid, fd, pidfd }: MemoryRequest): number {
  let taken: number | undefined
  try {
    checkUser(addon, pidfd, pid, uid)
    taken = addon.pidfdGetFd(pidfd, fd)
    // It may have become somebody else just before that.
    checkUser(addon, pidfd, pid, uid)
    return taken
  } catch (error) {
    if (taken !== undefined) closeSync(taken)
    if (error instanceof NotProtectableError) throw error
    throw new NotProtectableError(explain(error, pid, fd), { cause: error })
  }
}

/**
 * The one that connected may have become privileged since, by a program that is setuid. Of another user it must not be, or anybody could have the memory of others overwritten. Root may do that anyway.
 */
function checkUser(addon: NativeAddon, pidfd: number, pid: number, uid: number): void {
  const isOfCaller = uid === 0 || isOfUser(pid, uid)
  // Still the same: then what was read is of this process.
  addon.pidfdSendSignal(pidfd, 0)
  if (!isOfCaller) throw new NotProtectableError(`process ${pid} is not of the user ${uid}, who connected`)
}

/** What is wrong with a file; undefined where all of it can be overwritten, now and later. */
function findFault(addon: NativeAddon, fd: number, length: number): string | undefined {
  try {
    const found = addon.memfdSeals(fd)
    if (found === undefined) return 'it is not a memfd'
    const { seals, writable, size } = found
    if (!writable) return 'it is not open for writing'
    // Or overwriting it would make it grow again, to the daemon's account.
    if (!(seals & sealShrink && seals & sealGrow))
      return 'its size is not sealed (F_SEAL_SHRINK, F_SEAL_GROW)'
    if (seals & (sealWrite | sealFutureWrite)) return 'it is sealed against writing'
    if (size < length) return `it has ${size} bytes, which are fewer than ${length}`
    // Nothing is written; what cannot be written at all, such as huge pages, says so.
    writeSync(fd, Buffer.alloc(0), 0, 0, 0)
    return undefined
  } catch (error) {
    return `it cannot be overwritten: ${(error as Error).message}`
  }
}

function explain(error: unknown, pid: number, fd: number): string {
  const { code, message } = error as NodeJS.ErrnoException
  switch (code) {
    case 'EPERM':
    case 'EACCES':
      return `the daemon may not take descriptors out of process ${pid}; it needs CAP_SYS_PTRACE`
    case 'EBADF':
      return `process ${pid} has no descriptor ${fd}`
    case 'ESRCH':
    case 'ENOENT':
      return `process ${pid} has ended`
    case 'ERR_OUT_OF_RANGE':
      return `${fd} is no descriptor`
    case 'ENOSYS':
      return 'the kernel is older than Linux 5.6'
    default:
      return `the descriptor cannot be taken: ${message}`
  }
}
