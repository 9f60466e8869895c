import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { cachedEntry, cacheFolder } from './cache.ts'
import { type CpioEntry, cpioArchive } from './cpio.ts'
import { debianPackages } from './debian-packages.ts'
import { bookwormBackports, trixie } from './debian-suite.ts'
import { parentFolders } from './file-trees.ts'
import type { GuestInit } from './guest-options.ts'
import { readKernelModules } from './kernel-modules.ts'
import type { Kernel } from './kernels.ts'
import { type Progress, silent } from './progress.ts'
import { shellUserland } from './shell-userland.ts'
import { systemdUserland } from './systemd-userland.ts'

/** Grows when the layout of the base archive changes. */
const formatVersion = 3

/** What a guest always gets where its kernel has it as a module. */
const defaultModules = ['virtio_pci', 'virtio_console', 'qemu_fw_cfg', 'ptp_vmclock'] as const

/** The programs and libraries of a kind of guest. */
export interface Userland {
  /** Other content has another key. */
  key: unknown
  entries(): Promise<CpioEntry[]>
}

/** What a base archive is for. */
export interface BaseArchiveOptions {
  kernel: Kernel
  init: GuestInit
  /** Kernel modules besides `defaultModules`. */
  modules?: readonly string[]
  onProgress?: Progress | undefined
  signal?: AbortSignal | undefined
}

/** The part of an initramfs that is the same for many guests: user space and kernel modules. Built once, kept in the cache. */
export async function baseArchive(options: BaseArchiveOptions): Promise<string> {
  const { kernel, init, modules = [], onProgress = silent, signal } = options
  const busyboxRoot = await debianPackages({
    suites: [trixie, bookwormBackports],
    packages: ['busybox-static'],
    take: 'alone',
    onProgress,
    signal,
  })
  const busybox = join(busyboxRoot, 'usr/bin/busybox')
  const userland = await userlands[init](busybox, { onProgress, signal })
  const names = [...defaultModules, ...modules]
  const key = JSON.stringify([formatVersion, init, kernel.modulesFolder, busyboxRoot, userland.key, names])
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 12)
  return await cachedEntry(
    join(cacheFolder(), 'initramfs', `${kernel.name}-${hash}.cpio`),
    async (path) => {
      onProgress(`building the base of the initramfs for ${kernel.release}`)
      const entries = [...(await userland.entries()), ...(await moduleEntries(kernel, names, busybox))]
      await pipeline(Readable.from(cpioArchive(entries)), createWriteStream(path))
    },
    signal,
  )
}

type FindUserland = (
  busybox: string,
  options: { onProgress: Progress; signal: AbortSignal | undefined },
) => Promise<Userland>

const userlands: Readonly<Record<GuestInit, FindUserland>> = {
  shell: shellUserland,
  systemd: systemdUserland,
}

/** Below /usr: in a Debian root, /lib is a link, which a folder of that name in an archive would replace. */
async function moduleEntries(kernel: Kernel, names: string[], busybox: string): Promise<CpioEntry[]> {
  const modules = await readKernelModules(kernel, names, busybox)
  const order = modules.map(({ name }) => `/usr/lib/modules/${name}.ko\n`).join('')
  return [
    ...parentFolders('/usr/lib/modules/order'),
    ...modules.map(({ name, data }) => ({ kind: 'file', path: `usr/lib/modules/${name}.ko`, data }) as const),
    { kind: 'file', path: 'usr/lib/modules/order', data: Buffer.from(order) },
  ]
}
