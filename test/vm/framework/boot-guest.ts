import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { QemuMachine, type Wait } from '../../../packages/host/src/index.ts'
import { acceleratorArguments, chooseAccelerator } from './accelerator.ts'
import { agentPortName, Guest } from './guest.ts'
import { KernelNotAvailableError } from './guest-errors.ts'
import type { GuestOptions } from './guest-options.ts'
import { buildInitramfs } from './initramfs.ts'
import { findKernel } from './kernels.ts'
import { qemuProgram } from './qemu-program.ts'
import { WorkFolder } from './work-folder.ts'

const bootTimeoutMs = 120_000
const probeTimeoutMs = 20_000
const defaultMemoryMiB = { shell: 512, systemd: 768 } as const
/** A panic ends QEMU at once (with -no-reboot), so that nobody waits for a guest that is dead. */
const commandLine = 'console=ttyS0 rdinit=/init panic=-1 oops=panic loglevel=4'

/**
 * Boots a guest and resolves when its agent answers and, with systemd, all units have been started. What it needs is fetched and built on first use. Rejects with
 * `KernelNotAvailableError` if there is no such kernel for us, with `GuestDiedError` if the guest does not come up.
 */
export async function bootGuest(options: GuestOptions = {}): Promise<Guest> {
  const { init = 'shell', onProgress, signal } = options
  const shared = { ...(onProgress ? { onProgress } : {}), ...(signal ? { signal } : {}) }
  const kernel = await findKernel(options.kernel ?? '6.12', shared)
  if ('notAvailable' in kernel) throw new KernelNotAvailableError(kernel.notAvailable)
  const program = await qemuProgram(shared)
  const accelerator = options.accelerator ?? (await chooseAccelerator(probeKvm, onProgress))
  const work = await WorkFolder.create()
  const folder = await work.part('b')
  const initrdPath = join(work.path, 'initramfs')
  let guest: Guest | undefined
  // The guest counts as a user of the folder from its start; this is for the time before.
  work.use()
  try {
    await buildInitramfs({
      kernel,
      init,
      path: initrdPath,
      trees: options.trees ?? [],
      modules: options.modules ?? [],
      ...shared,
    })
    const machine = await QemuMachine.start({
      program,
      folder,
      memory: { kind: 'file', path: join(work.path, 'memory'), share: true },
      vmgenid: options.vmgenid || randomUUID(),
      hardware: {
        ...acceleratorArguments[accelerator],
        cpus: options.cpus ?? 2,
        memoryMiB: options.memoryMiB ?? defaultMemoryMiB[init],
        kernelPath: kernel.imagePath,
        initrdPath,
        append: [commandLine, options.append].filter(Boolean).join(' '),
        vmgenid: options.vmgenid !== false,
        vmclock: options.vmclock ?? false,
        ports: [agentPortName, ...(options.ports ?? [])],
        extraArguments: options.extraArguments ?? [],
      },
      signal,
    })
    guest = await Guest.attach(machine, work, signal)
    await guest.untilReady({ timeoutMs: options.bootTimeoutMs ?? bootTimeoutMs, signal })
    if (init === 'systemd') await untilBooted(guest, { timeoutMs: bootTimeoutMs, signal })
    return guest
  } catch (error) {
    work.keep()
    await guest?.close()
    throw error
  } finally {
    await work.release()
  }
}

/** The agent answers before systemd is done. A unit that failed is for the caller to find. */
async function untilBooted(guest: Guest, wait: Wait): Promise<void> {
  const { stdout } = await guest.exec(['systemctl', 'is-system-running', '--wait'], wait)
  if (/^(?:running|degraded)$/m.test(stdout)) return
  const jobs = await guest.exec(['systemctl', 'list-jobs', '--no-pager'])
  throw new Error(`systemd has not come up, it says ${stdout.trim() || 'nothing'}:\n${jobs.stdout.trim()}`)
}

async function probeKvm(): Promise<void> {
  await using _guest = await bootGuest({ accelerator: 'kvm', bootTimeoutMs: probeTimeoutMs })
}
