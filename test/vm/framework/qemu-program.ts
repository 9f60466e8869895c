import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { QemuProgram } from '../../../packages/host/src/index.ts'
import { debianPackages } from './debian-packages.ts'
import { debianProgram } from './debian-program.ts'
import { bookwormBackports, trixie } from './debian-suite.ts'
import type { Progress } from './progress.ts'

const firmwareFolders = ['usr/share/qemu', 'usr/share/seabios', 'usr/lib/ipxe/qemu']

/** QEMU of Debian stable, fetched once. Whether the machine has one does not matter. */
export async function qemuProgram(
  options: { onProgress?: Progress; signal?: AbortSignal } = {},
): Promise<QemuProgram> {
  const packages = { packages: ['qemu-system-x86'], take: 'closure' } as const
  const root = await debianPackages({ suites: [trixie, bookwormBackports], ...packages, ...options })
  const qemu = await debianProgram(root, 'usr/bin/qemu-system-x86_64')
  const [first = '', ...rest] = [...(await parentDeathSignal()), ...qemu]
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
