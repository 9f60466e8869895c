/** How to run QEMU. */
export interface QemuProgram {
  /** Command and leading arguments: `['/usr/bin/qemu-system-x86_64']`, or a dynamic linker with `--library-path …`. */
  command: readonly [string, ...string[]]
  /** Folders with firmware (SeaBIOS, option ROMs), each given as `-L`. */
  firmwareFolders?: readonly string[]
}

/** The memory of the guest: a file that the snapshot takes over, or QEMU's own anonymous memory. */
export type QemuMemory =
  /** `share: true` writes to the file; `false` maps it copy-on-write, which is what a clone does. */
  { kind: 'file'; path: string; share: boolean } | { kind: 'anonymous' }

/** The virtual hardware. It must be the same when a snapshot is taken and when it is restored. */
export interface QemuHardware {
  /** Default `pc`. */
  machine?: string
  /** Value of `-accel`; default `tcg,thread=multi`. */
  accelerator?: string
  /** Value of `-cpu`; default `max`. */
  cpu?: string
  /** Number of virtual CPUs; default 2. */
  cpus?: number
  memoryMiB: number
  kernelPath: string
  initrdPath?: string
  /** The kernel's command line. */
  append?: string
  /** Whether there is a vmgenid device; its GUID is no part of the hardware. Default true. */
  vmgenid?: boolean
  /** Whether there is a vmclock device (QEMU 10.0 and later). Default false. */
  vmclock?: boolean
  /** Names of virtio-serial ports (`io.snapsafe.0`); each gets a socket. At most 30. */
  ports?: readonly string[]
  /** Further arguments, as they are. */
  extraArguments?: readonly string[]
}

/** Everything that starts one QEMU process. */
export interface QemuMachineOptions {
  program: QemuProgram
  hardware: QemuHardware
  memory: QemuMemory
  /** VMGenID of this process, a GUID; default a fresh random one. Secret: it is passed on, never logged. */
  vmgenid?: string
  /** Existing folder of this process alone: gets its sockets and logs. Keep it short: socket paths are limited. */
  folder: string
  /** Start with the virtual CPUs stopped. Default false. */
  paused?: boolean
  /** Wait for `migrate-incoming` instead of booting. Default false. */
  incoming?: boolean
  /** How long the process may take until it answers on QMP; default 10 s. */
  startTimeoutMs?: number
  signal?: AbortSignal | undefined
}
