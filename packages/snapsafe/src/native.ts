import { closeSync, existsSync, openSync, readSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

/** Set to 1 to run without the addon, as on a platform that has none. */
const disablingVariable = 'SNAPSAFE_NO_ADDON'

declare const pageWriterBrand: unique symbol
declare const pollerBrand: unique symbol
declare const secretMemoryBrand: unique symbol

/** A writable mapping of the page; opaque. */
export interface NativePageWriter {
  readonly [pageWriterBrand]: true
}

/** A descriptor that the event loop watches; opaque. */
export interface NativePoller {
  readonly [pollerBrand]: true
}

export interface PeerCredentials {
  /** 0 when the peer is in another PID namespace. */
  readonly pid: number
  readonly uid: number
  readonly gid: number
  /** The supplementary groups. */
  readonly groups: readonly number[]
}

/** Memory that is a file, so that another process can overwrite it. */
export interface SecretMemory {
  readonly [secretMemoryBrand]: true
  /** A memfd whose size is sealed. Closed by `closeSecretMemory`, or when this object is collected, and by nobody else. */
  readonly fd: number
  /** The memory itself, all zeros at first. It is overwritten with zeros and unmapped when it is collected. */
  readonly memory: ArrayBuffer
  /** Whether it is kept out of the swap space; false where RLIMIT_MEMLOCK does not allow it. */
  readonly locked: boolean
}

export interface MemfdSeals {
  /** F_SEAL_SEAL 1, F_SEAL_SHRINK 2, F_SEAL_GROW 4, F_SEAL_WRITE 8, F_SEAL_FUTURE_WRITE 16, F_SEAL_EXEC 32. */
  readonly seals: number
  /** Whether the descriptor was opened for writing. */
  readonly writable: boolean
  readonly size: number
}

/**
 * What the addon offers. Every function throws an Error with `code` (an errno name such as 'EACCES',
 * 'ERR_INVALID_ARG_TYPE' or 'ERR_OUT_OF_RANGE') and `syscall`; none crashes on a wrong argument. Descriptors stay the
 * caller's, who closes them, unless something else is said.
 */
export interface NativeAddon {
  /**
   * Maps the first 4096 bytes of a regular file, shared and read-only. WRITING TO IT KILLS THE PROCESS (SIGSEGV), so
   * the buffer must never be handed out. The descriptor can be closed afterwards; the mapping goes with the buffer.
   * ERR_NO_EXTERNAL_BUFFERS where the runtime does not allow such buffers.
   */
  mapPage(fd: number): ArrayBuffer
  /** Maps the first 4096 bytes of a regular file for writing; the descriptor can be closed afterwards. */
  openPageWriter(fd: number): NativePageWriter
  /** One aligned atomic load. */
  pageLoad32(writer: NativePageWriter, byteOffset: number): number
  /** One aligned atomic store, seen by others after all stores made before it and before all made after it. */
  pageStore32(writer: NativePageWriter, byteOffset: number, value: number): void
  /** Copies bytes: not atomic, but fenced from stores made before and after. */
  pageStoreBytes(writer: NativePageWriter, byteOffset: number, bytes: Uint8Array): void
  /** Wakes all processes that wait for the word at the offset (FUTEX_WAKE, shared); returns how many. */
  wakeFutex(writer: NativePageWriter, byteOffset: number): number
  /** Idempotent. Any other use of a closed writer is EBADF. */
  closePageWriter(writer: NativePageWriter): void
  /** Who was at the other end of a connected unix socket at connect time (SO_PEERCRED, SO_PEERGROUPS). ENOTCONN: nobody. */
  peerCredentials(socketFd: number): PeerCredentials
  /**
   * A descriptor of the process that was at the other end of a connected unix socket at connect time (SO_PEERPIDFD), which
   * the caller closes. undefined: the kernel is older than Linux 6.5. ENOTCONN: nobody; ESRCH: the process is gone.
   */
  peerPidfd(socketFd: number): number | undefined
  /** A descriptor of a process, which the caller closes. ESRCH: there is none of this number. */
  pidfdOpen(pid: number): number
  /** Sends a signal to that very process, never to a later one of its number. 0 only looks. ESRCH: it has ended. */
  pidfdSendSignal(pidfd: number, signalNumber: number): void
  /**
   * Takes a copy of a descriptor out of a process: the same open file, close-on-exec. EPERM: tracing the process is not
   * allowed (CAP_SYS_PTRACE). EBADF: it has no such descriptor. ESRCH: it has ended.
   */
  pidfdGetFd(pidfd: number, fd: number): number
  /**
   * 1 to 16,777,216 bytes of shared memory over a memfd that is sealed against any change of its size, is in no core dump,
   * and is not there in a forked child. ERR_NO_EXTERNAL_BUFFERS where the runtime does not allow such buffers.
   */
  createSecretMemory(length: number): SecretMemory
  /** Closes its descriptor; the memory stays until it is collected. Idempotent. */
  closeSecretMemory(secret: SecretMemory): void
  /** The seals of a file that can have some; undefined for any other. */
  memfdSeals(fd: number): MemfdSeals | undefined
  /** Takes an exclusive flock(2) on the open file. false: somebody else has it. It is let go when the file is closed. */
  tryLock(fd: number): boolean
  /**
   * Sends one datagram to a unix socket; a leading `@` is the abstract name space. Never blocks (EAGAIN). The receiver gets
   * a descriptor of its own for the open file of `fd`, where one is given.
   */
  sendDatagram(path: string, bytes: Uint8Array, fd?: number): void
  /**
   * Makes the descriptor non-blocking and calls back whenever it is readable or hung up, again and again until what is
   * there was read. `errorCode` is set when the descriptor is in error: the pending error of a socket (polling goes on,
   * for example after ENOBUFS of netlink), or 'EBADF' for anything else (polling has ended). Keeps the process alive.
   * The poller must be stopped before its descriptor is closed. Exceptions go to 'uncaughtException'.
   */
  pollReadable(fd: number, callback: (errorCode: string | undefined) => void): NativePoller
  /** Idempotent; no callback comes after it. The descriptor may be closed at once. */
  pollStop(poller: NativePoller): void
  /** The poller no longer keeps the process alive. */
  pollUnref(poller: NativePoller): void
  /**
   * Makes the OpenSSL of this process draw a new seed from the kernel, for all threads. Keys, and values that node:crypto
   * has already drawn into its caches, are not touched. false: nothing was reseeded, be it that the generator did not
   * confirm or that this runtime has no OpenSSL 3 that can be reached (then `openSSLReseedCount` is undefined). Never
   * throws.
   */
  reseedOpenSSL(): boolean
  /** How often OpenSSL's primary generator was seeded in this process; undefined: there is none that says so. */
  openSSLReseedCount(): number | undefined
  /**
   * RNDADDENTROPY on an open /dev/random or /dev/urandom: mixes 1 to 512 bytes into the kernel's pool. Takes effect with
   * the next reseed. Needs CAP_SYS_ADMIN (EPERM).
   */
  addKernelEntropy(fd: number, bytes: Uint8Array, creditBits: number): void
  /** RNDRESEEDCRNG: the kernel's generator reseeds from its pool now. Needs CAP_SYS_ADMIN (EPERM). */
  reseedKernelRandom(fd: number): void
  /** 1 to 4096 bytes from RDSEED, RDRAND or RNDR. undefined: the CPU has none of them, or they fail. */
  cpuRandom(byteLength: number): Uint8Array | undefined
  /** CLOCK_BOOTTIME: since boot, counting suspension. */
  bootTimeNs(): bigint
}

export type LoadedNative =
  | { readonly addon: NativeAddon; readonly reason?: undefined }
  | { readonly addon: undefined; readonly reason: string }

/** What does not work, or works less well, where `loadNative` finds no addon. For people to read. */
export const missingWithoutAddon: readonly string[] = Object.freeze([
  'each check of the generation is two system calls (about 2 µs) instead of two loads from memory (about 1 ns)',
  "this process's OpenSSL cannot be reseeded: crypto.randomBytes and keys may repeat those of a sibling clone",
  'there is no ProtectedMemory: secrets stay in memory, and in snapshots of it',
  'the daemon cannot run: it cannot publish the page, reseed the kernel, identify its callers or wait for events',
])

const functionNames: readonly (keyof NativeAddon)[] = [
  'mapPage',
  'openPageWriter',
  'pageLoad32',
  'pageStore32',
  'pageStoreBytes',
  'wakeFutex',
  'closePageWriter',
  'peerCredentials',
  'peerPidfd',
  'pidfdOpen',
  'pidfdSendSignal',
  'pidfdGetFd',
  'createSecretMemory',
  'closeSecretMemory',
  'memfdSeals',
  'tryLock',
  'sendDatagram',
  'pollReadable',
  'pollStop',
  'pollUnref',
  'reseedOpenSSL',
  'openSSLReseedCount',
  'addKernelEntropy',
  'reseedKernelRandom',
  'cpuRandom',
  'bootTimeNs',
]

let loaded: LoadedNative | undefined

/** Loads the addon, once in each thread. Never throws: what stands in the way becomes the reason. */
export function loadNative(): LoadedNative {
  loaded ??= load()
  return loaded
}

function load(): LoadedNative {
  if (process.env[disablingVariable] === '1') return without(`it is switched off by ${disablingVariable}=1`)
  if (process.platform !== 'linux') return without(`there is none for ${process.platform}`)
  try {
    const path = fileURLToPath(new URL(`../prebuilds/${targetName()}/snapsafe.node`, import.meta.url))
    if (!existsSync(path))
      return without(`${path} does not exist; "npm run build" in the source tree builds it`)
    const addon: NativeAddon = createRequire(import.meta.url)(path)
    const missing = functionNames.filter((name) => typeof addon[name] !== 'function')
    if (missing.length === 0) return { addon }
    return without(`${path} is of another version: it lacks ${missing.join(', ')}; build it again`)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'ERR_DLOPEN_DISABLED') return without(error instanceof Error ? error.message : String(error))
    return without('the permission model forbids it (ERR_DLOPEN_DISABLED); start node with --allow-addons')
  }
}

function without(why: string): LoadedNative {
  return { addon: undefined, reason: `the addon is not loaded: ${why}` }
}

function targetName(): string {
  return `linux-${process.arch}-${usesMusl() ? 'musl' : 'glibc'}`
}

/**
 * Which C library this process runs on, told by the name of its ELF interpreter near the start of the executable. (The
 * answer of `process.report` would take some milliseconds.)
 */
function usesMusl(): boolean {
  const head = Buffer.alloc(4096)
  let fd: number
  try {
    fd = openSync(process.execPath, 'r')
  } catch {
    return false
  }
  try {
    return head.subarray(0, readSync(fd, head)).includes('/ld-musl-')
  } finally {
    closeSync(fd)
  }
}
