import { closeSync } from 'node:fs'
import type { NativeAddon } from 'snapsafe/native'
import { isOfUser, startTicksOf } from './process-status.ts'

/** sysconf(_SC_CLK_TCK) is 100 wherever Linux runs programs. */
const usecPerTick = 10_000

/** The other end of a connection, as the kernel recorded it when it connected. */
export interface Peer {
  readonly pid: number
  readonly uid: number
  /** CLOCK_BOOTTIME, when its connection was accepted: it had started by then. */
  readonly acceptedAtUsec: number
  /** SO_PEERPIDFD; undefined before Linux 6.5. May throw where the process has ended. */
  openPidfd(): number | undefined
}

/** The very process that connected. */
export interface PeerProcess {
  /** It never comes to mean another process. */
  readonly pidfd: number
  readonly startTicks: number
}

/**
 * The process that connected; the descriptor is the caller's to close. Undefined where it has ended (somebody else may have
 * its connection, and another its pid), where it is of another PID namespace, or where nothing proves that the process which has
 * its pid now is the one.
 */
export function openPeerProcess(addon: NativeAddon, peer: Peer): PeerProcess | undefined {
  const opened = open(addon, peer)
  if (!opened) return undefined
  const { pidfd, isExact } = opened
  // Alive before and after: then what was read in between is of this process.
  if (isAlive(addon, pidfd)) {
    const startTicks = startTicksOf(peer.pid)
    const isIt = startTicks > 0 && (isExact || mayBe(peer, startTicks))
    if (isIt && isAlive(addon, pidfd)) return { pidfd, startTicks }
  }
  closeSync(pidfd)
  return undefined
}

function open(addon: NativeAddon, { pid, openPidfd }: Peer): { pidfd: number; isExact: boolean } | undefined {
  if (pid <= 0) return undefined
  try {
    const pidfd = openPidfd()
    if (pidfd !== undefined) return { pidfd, isExact: true }
    return { pidfd: addon.pidfdOpen(pid), isExact: false }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // It says nothing about the process that the daemon has no descriptors left.
    if (code === 'EMFILE' || code === 'ENFILE') throw error
    return undefined
  }
}

/** Whether it was there, and of this user, when the connection was accepted. */
function mayBe({ pid, uid, acceptedAtUsec }: Peer, startTicks: number): boolean {
  return isOfUser(pid, uid) && startTicks <= Math.floor(acceptedAtUsec / usecPerTick) + 1
}

function isAlive(addon: NativeAddon, pidfd: number): boolean {
  try {
    addon.pidfdSendSignal(pidfd, 0)
    return true
  } catch (error) {
    // It is there, but not this daemon's to signal.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
