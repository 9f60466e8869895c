import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { QemuProgram } from '../../../packages/host/src/index.ts'
import { debianPackages } from './debian-packages.ts'
import { bookwormBackports, trixie } from './debian-suite.ts'
import type { Progress } from './progress.ts'

const libraryFolders = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu', 'usr/lib', 'lib']
const dynamicLinkers = ['usr/lib64/ld-linux-x86-64.so.2', 'lib64/ld-linux-x86-64.so.2']
const firmwareFolders = ['usr/share/qemu', 'usr/share/seabios', 'usr/lib/ipxe/qemu']

/**
 * QEMU of Debian stable, fetched once. It runs with its own dynamic linker and libraries, so the machine's own Debian, and
 * whether it has QEMU, do not matter.
 */
export async function qemuProgram(
  options: { onProgress?: Progress; signal?: AbortSignal } = {},
): Promise<QemuProgram> {
  if (process.arch !== 'x64') {
    throw new Error(
      `the VM tests run amd64 programs of Debian; this machine is ${process.arch}: run them on x86-64`,
    )
  }
  const packages = { packages: ['qemu-system-x86'], take: 'closure' } as const
  return await programIn(
    await debianPackages({ suites: [trixie, bookwormBackports], ...packages, ...options }),
  )
}

async function programIn(root: string): Promise<QemuProgram> {
  const libraries = libraryFolders.map((folder) => join(root, folder))
  const command = [
    await firstExisting(dynamicLinkers.map((path) => join(root, path))),
    '--library-path',
    libraries.join(':'),
  ]
  const qemu = join(root, 'usr/bin/qemu-system-x86_64')
  const survivor = await parentDeathSignal()
  const [first = qemu, ...rest] = [...survivor, ...command, qemu]
  return { command: [first, ...rest], firmwareFolders: firmwareFolders.map((folder) => join(root, folder)) }
}

/** With it the kernel ends QEMU even when a test runner is killed with SIGKILL; without it the driver does its best. */
async function parentDeathSignal(): Promise<string[]> {
  const path = '/usr/bin/setpriv'
  return await access(path).then(
    () => [path, '--pdeathsig', 'KILL', '--'],
    () => [],
  )
}

async function firstExisting(paths: readonly string[]): Promise<string> {
  for (const path of paths)
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path
  throw new Error(`none of ${paths.join(', ')} exists: delete the cache folder and fetch again`)
}
