import { closeSync } from 'node:fs'
import type { Socket } from 'node:net'
import type { NativeAddon } from 'snapsafe/native'
import { openPeerProcess, type Peer, type PeerProcess } from '../system/peer-process.ts'

/** Who is at the other end of a connection, as the kernel recorded it when it connected. */
export interface Caller extends Peer {
  /** pid 0: a process of another PID namespace, which has no number here. */
  readonly pid: number
  /** root, or of the group that the configuration names: may do what changes something for everybody. */
  readonly privileged: boolean
  /**
   * A descriptor of the process that connected, which never comes to mean another one; the receiver closes it. Undefined
   * before Linux 6.5.
   */
  openPidfd(): number | undefined
  /** The process that connected, proven to live; the receiver closes its descriptor. See `openPeerProcess`. */
  openProcess(): PeerProcess | undefined
  /** When that process started, in clock ticks since boot; 0 where `openProcess` has none. */
  startTicks(): number
}

/** Reads SO_PEERCRED and SO_PEERGROUPS: what the caller was when it connected, whatever it has become since. */
export function identifyCaller(addon: NativeAddon, socket: Socket, group: number | undefined): Caller {
  const fd = descriptorOf(socket)
  const { pid, uid, gid, groups } = addon.peerCredentials(fd)
  const privileged = uid === 0 || (group !== undefined && (gid === group || groups.includes(group)))
  const acceptedAtUsec = Number(addon.bootTimeNs() / 1000n)
  const peer = { pid, uid, acceptedAtUsec, openPidfd: () => addon.peerPidfd(descriptorOf(socket)) }
  const openProcess = () => openPeerProcess(addon, peer)
  return {
    ...peer,
    privileged,
    openProcess,
    startTicks() {
      const process = openProcess()
      if (process) closeSync(process.pidfd)
      return process?.startTicks ?? 0
    },
  }
}

/** The descriptor of a socket; undefined when it was closed. */
export function openDescriptorOf(socket: Socket): number | undefined {
  // Node offers the descriptor in no other way; libuv's handle has had this field since Node 0.x.
  const fd = (socket as unknown as { _handle?: { fd?: number } })._handle?.fd
  return fd === undefined || fd < 0 ? undefined : fd
}

function descriptorOf(socket: Socket): number {
  const fd = openDescriptorOf(socket)
  if (fd === undefined) throw new Error('the socket was closed before its peer could be identified')
  return fd
}
