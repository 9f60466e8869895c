import { access, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { debianPackages } from './debian-packages.ts'
import { bookworm, bookwormBackports, type DebianSuite, sid, trixie } from './debian-suite.ts'
import type { Progress } from './progress.ts'

/** The kernels that guests can run, by the version that matters to a case. */
export type KernelName = '6.1' | '6.12' | '7'

interface KernelSource {
  suites: readonly DebianSuite[]
  /** What makes a case choose it. */
  note: string
  /** What its release must begin with: suites move on. */
  release: RegExp
}

const metaPackage = 'linux-image-cloud-amd64'
/** Up to trixie one package has it all; from 7.2 on image, modules and their lists are apart. */
const concretePackage = /^linux-(image|base|binary|modules)-\d/

export const kernels: Readonly<Record<KernelName, KernelSource>> = {
  '6.1': { suites: [bookworm], note: 'no vmgenid driver, no vmclock', release: /^6\.1\./ },
  '6.12': { suites: [trixie, bookwormBackports], note: 'vmgenid driver, no vmclock', release: /^6\.12\./ },
  '7': { suites: [sid], note: 'vmgenid driver, /dev/vmclock0 as a module', release: /^([7-9]|\d\d)\./ },
}

/** A kernel on this machine. */
export interface Kernel {
  name: KernelName
  /** As `uname -r` says. */
  release: string
  imagePath: string
  modulesFolder: string
}

/** Why a kernel cannot be had here; a case on it is skipped with these words. */
export interface NotAvailable {
  notAvailable: string
}

/** Fetches a kernel once. Resolves, never rejects but for an abort, with the reason if it cannot be had. */
export async function findKernel(
  name: KernelName,
  options: { onProgress?: Progress | undefined; signal?: AbortSignal | undefined } = {},
): Promise<Kernel | NotAvailable> {
  try {
    const packages = { packages: [metaPackage], take: 'alone', follow: concretePackage } as const
    return await kernelIn(
      name,
      await debianPackages({ suites: kernels[name].suites, ...packages, ...options }),
    )
  } catch (error) {
    options.signal?.throwIfAborted()
    return { notAvailable: `kernel ${name} is not available: ${(error as Error).message}` }
  }
}

async function kernelIn(name: KernelName, root: string): Promise<Kernel> {
  for (const folder of ['usr/lib/modules', 'lib/modules']) {
    const release = (await readdir(join(root, folder)).catch(() => []))[0]
    if (release === undefined) continue
    if (!kernels[name].release.test(release)) throw new Error(`it has ${release} now`)
    const modulesFolder = join(root, folder, release)
    const images = [join(root, 'boot', `vmlinuz-${release}`), join(modulesFolder, 'vmlinuz')]
    for (const imagePath of images) {
      if (
        await access(imagePath).then(
          () => true,
          () => false,
        )
      )
        return { name, release, imagePath, modulesFolder }
    }
  }
  throw new Error(`neither an image nor modules in ${root}`)
}
