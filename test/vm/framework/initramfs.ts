import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { copyFile, readFile, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { cachedEntry, cacheFolder } from './cache.ts'
import { type CpioEntry, cpioArchive } from './cpio.ts'
import { debianPackages } from './debian-packages.ts'
import { bookwormBackports, trixie } from './debian-suite.ts'
import { externalBuiltins } from './external-builtins.ts'
import { type FileTree, parentFolders, readFileTrees } from './file-trees.ts'
import { guestSystemEntries } from './guest-system.ts'
import { readKernelModules } from './kernel-modules.ts'
import type { Kernel } from './kernels.ts'
import { type Progress, silent } from './progress.ts'
import { sharedLibraries } from './shared-libraries.ts'

/** Grows when the layout of the base archive changes. */
const formatVersion = 2

/** What a guest always gets where its kernel has it as a module. */
const defaultModules = ['virtio_pci', 'virtio_console', 'qemu_fw_cfg', 'ptp_vmclock'] as const

/** What is in the initramfs. */
export interface InitramfsOptions {
  kernel: Kernel
  /** Where to write it. */
  path: string
  /** Files for the guest, besides busybox, Node and the agent. */
  trees?: readonly FileTree[]
  /** Kernel modules to load besides `defaultModules`. */
  modules?: readonly string[]
  onProgress?: Progress | undefined
  signal?: AbortSignal | undefined
}

/**
 * Writes an initramfs: a base archive (busybox, this machine's Node with its libraries, modules), which is built once and
 * kept in the cache, followed by a small one (init, agent, the trees), which is always built anew. Nothing is compressed:
 * an emulated guest unpacks more slowly than QEMU copies.
 */
export async function buildInitramfs(options: InitramfsOptions): Promise<void> {
  const base = await baseArchive(options)
  const own = [...(await guestSystemEntries()), ...(await readFileTrees(options.trees ?? []))]
  await copyFile(base, options.path)
  await pipeline(Readable.from(cpioArchive(own)), createWriteStream(options.path, { flags: 'a' }))
}

async function baseArchive({
  kernel,
  modules = [],
  onProgress = silent,
  signal,
}: InitramfsOptions): Promise<string> {
  const root = await debianPackages({
    suites: [trixie, bookwormBackports],
    packages: ['busybox-static'],
    take: 'alone',
    onProgress,
    signal,
  })
  const busybox = join(root, 'usr/bin/busybox')
  const node = await realpath(process.execPath)
  const names = [...defaultModules, ...modules]
  const { size, mtimeMs } = await stat(node)
  const key = JSON.stringify([formatVersion, kernel.modulesFolder, root, node, size, mtimeMs, names])
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 12)
  return await cachedEntry(
    join(cacheFolder(), 'initramfs', `${kernel.name}-${hash}.cpio`),
    async (path) => {
      onProgress(`building the base of the initramfs for ${kernel.release}`)
      const entries = await baseEntries({ kernel, busybox, node, names })
      await pipeline(Readable.from(cpioArchive(entries)), createWriteStream(path))
    },
    signal,
  )
}

async function baseEntries(parts: {
  kernel: Kernel
  busybox: string
  node: string
  names: string[]
}): Promise<CpioEntry[]> {
  const libraries = await sharedLibraries(parts.node)
  const builtins = await externalBuiltins(parts.node, libraries)
  const modules = await readKernelModules(parts.kernel, parts.names, parts.busybox)
  const order = modules.map(({ name }) => `/lib/modules/${name}.ko\n`).join('')
  return [
    ...parentFolders('/usr/bin/node'),
    ...parentFolders('/lib/modules/order'),
    { kind: 'folder', path: 'bin' },
    { kind: 'file', path: 'bin/busybox', mode: 0o755, data: await readFile(parts.busybox) },
    { kind: 'link', path: 'bin/sh', target: 'busybox' },
    { kind: 'file', path: 'usr/bin/node', mode: 0o755, data: await readFile(parts.node) },
    ...(await readFileTrees([...libraries, ...builtins].map((path) => ({ from: path, to: path })))),
    ...modules.map(({ name, data }) => ({ kind: 'file', path: `lib/modules/${name}.ko`, data }) as const),
    { kind: 'file', path: 'lib/modules/order', data: Buffer.from(order) },
  ]
}
