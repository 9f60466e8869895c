import type { Accelerator } from './accelerator.ts'
import type { GuestFiles } from './file-trees.ts'
import type { KernelName } from './kernels.ts'
import type { Progress } from './progress.ts'

/**
 * What PID 1 of a guest is. `shell`: a script that starts the agent; nothing else runs, and it boots in seconds. `systemd`:
 * Debian stable's systemd with a journal, D-Bus and Debian's Node; the agent is a service in a slice of its own, agent.slice.
 */
export type GuestInit = 'shell' | 'systemd'

/** A guest to boot. */
export interface GuestOptions {
  /** Default `6.12`. */
  kernel?: KernelName
  /** Default `shell`. */
  init?: GuestInit
  /** Files for the guest. With systemd below /usr, not /bin or /lib, which are links that a folder would replace. */
  trees?: readonly GuestFiles[]
  /** Kernel modules to load besides the defaults; those that the kernel does not have are left out. */
  modules?: readonly string[]
  /** Default 512, with systemd 768. Below 384 the initramfs does not fit. */
  memoryMiB?: number
  /** Default 2. */
  cpus?: number
  /** The VMGenID of the first boot; default random. `false`: a machine without the device. */
  vmgenid?: string | false
  /** Whether there is a vmclock device; default false. */
  vmclock?: boolean
  /** Names of further virtio-serial ports (`io.snapsafe.0`); `portSocketPath` gives the host's end. */
  ports?: readonly string[]
  /** Appended to the kernel's command line. */
  append?: string
  /** Further arguments for QEMU. */
  extraArguments?: readonly string[]
  /** Default: TCG, or what `SNAPSAFE_VM_ACCEL` asks for. */
  accelerator?: Accelerator
  /** From the start of QEMU to the agent's first answer; default 120 s. */
  bootTimeoutMs?: number
  onProgress?: Progress
  signal?: AbortSignal
}

/** A clone to make. */
export interface CloneOptions {
  /** VMGenID of the clone; default random. The source's own stands for a rollback that VMGenID does not show. */
  vmgenid?: string
  /** Leave it loaded and stopped, with the agent's port connected, until `resume()`. */
  paused?: boolean
  /** From the start of QEMU to the agent's answer; default 60 s. */
  timeoutMs?: number
  signal?: AbortSignal
}
