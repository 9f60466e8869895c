import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Kernel } from './kernels.ts'
import { runCommand } from './run-command.ts'

/** A module as the guest's /init loads it. */
export interface KernelModule {
  name: string
  data: Buffer
}

/**
 * Reads modules and what they depend on, in the order of loading, decompressed. Names that are built into the kernel, or
 * that it does not have at all, are left out: guests run on kernels that differ there.
 */
export async function readKernelModules(
  kernel: Kernel,
  names: readonly string[],
  busybox: string,
): Promise<KernelModule[]> {
  const paths = await modulePaths(kernel.modulesFolder)
  const loaded = new Map<string, KernelModule>()
  const load = async (name: string): Promise<void> => {
    const path = paths.get(canonical(name))
    if (loaded.has(canonical(name)) || path === undefined) return
    const data = await readModule(path, busybox)
    for (const dependency of moduleDependencies(data)) await load(dependency)
    loaded.set(canonical(name), { name: canonical(name), data })
  }
  for (const name of names) await load(name)
  return [...loaded.values()]
}

/** `depends=` in the section .modinfo of a module: what modprobe would load before it. */
export function moduleDependencies(data: Buffer): string[] {
  const key = Buffer.from('\0depends=')
  const start = data.indexOf(key)
  if (start === -1) return []
  const end = data.indexOf(0, start + key.length)
  const names = data.subarray(start + key.length, end === -1 ? undefined : end).toString('latin1')
  return names.split(',').filter((name) => name !== '')
}

async function modulePaths(folder: string): Promise<Map<string, string>> {
  const paths = new Map<string, string>()
  for (const file of await readdir(join(folder, 'kernel'), { recursive: true })) {
    const name = /([^/]+)\.ko(?:\.xz|\.zst|\.gz)?$/.exec(file)?.[1]
    if (name !== undefined) paths.set(canonical(name), join(folder, 'kernel', file))
  }
  return paths
}

async function readModule(path: string, busybox: string): Promise<Buffer> {
  if (path.endsWith('.ko')) return await readFile(path)
  if (path.endsWith('.xz')) return await runCommand(busybox, ['xzcat', path])
  if (path.endsWith('.gz')) return await runCommand(busybox, ['zcat', path])
  throw new Error(`cannot decompress ${path}: busybox has no program for it`)
}

/** File names have dashes where the module's name has underscores, or not; the kernel takes them as the same. */
function canonical(name: string): string {
  return name.replaceAll('-', '_')
}
