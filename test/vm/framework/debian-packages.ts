import { createHash } from 'node:crypto'
import { access, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { debianMirror } from './apt-sources.ts'
import { AptWorld } from './apt-world.ts'
import { cachedEntry, cacheFolder } from './cache.ts'
import type { DebianSuite } from './debian-suite.ts'
import { withFolderLock } from './folder-lock.ts'
import { type Progress, silent } from './progress.ts'
import { runCommand } from './run-command.ts'

/** Grows when the layout of an entry changes. */
const formatVersion = 1

/** A set of packages to have unpacked. */
export interface DebianPackagesOptions {
  /** Tried in this order. What is in the cache already comes first. */
  suites: readonly DebianSuite[]
  packages: readonly string[]
  /** `closure`: with everything they depend on; `alone`: without, but for what `follow` says. */
  take: 'closure' | 'alone'
  /** With `alone`: dependencies with such a name are taken too, and theirs in turn. For meta packages. */
  follow?: RegExp
  onProgress?: Progress | undefined
  signal?: AbortSignal | undefined
}

/** None of the suites could give the packages. `cause` is what stood in the way with the first one. */
export class PackagesNotAvailableError extends Error {
  readonly code = 'ERR_SNAPSAFE_VM_PACKAGES'
  override readonly name = 'PackagesNotAvailableError'
}

/**
 * Resolves with a folder into which the packages are unpacked (a root file system without maintainer scripts run). The
 * first call fetches; later ones, also in other processes, are offline and instant, and stay with the versions that were
 * fetched. The file `packages.txt` in the folder lists them. The machine's own apt and dpkg are left as they are. Rejects
 * with `PackagesNotAvailableError` if no suite has them.
 */
export async function debianPackages(options: DebianPackagesOptions): Promise<string> {
  const { suites, packages, signal, onProgress = silent } = options
  for (const suite of suites) {
    const path = entryPath(suite, options)
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path
  }
  const failures: Error[] = []
  for (const suite of suites) {
    try {
      return await cachedEntry(entryPath(suite, options), (folder) => fetch(suite, options, folder), signal)
    } catch (error) {
      signal?.throwIfAborted()
      failures.push(error as Error)
      onProgress(`Debian ${suite.name} did not give ${packages.join(', ')}: ${(error as Error).message}`)
    }
  }
  const reasons = failures.map((error, index) => `${suites[index]?.name}: ${error.message}`).join('; ')
  throw new PackagesNotAvailableError(`cannot fetch ${packages.join(', ')} (${reasons})`, {
    cause: failures[0],
  })
}

function entryPath(suite: DebianSuite, { packages, take, follow }: DebianPackagesOptions): string {
  const key = JSON.stringify([formatVersion, suite, [...packages].sort(), take, follow?.source])
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 12)
  return join(cacheFolder(), 'packages', `${suite.name}-${packages[0]}-${hash}`)
}

async function fetch(suite: DebianSuite, options: DebianPackagesOptions, folder: string): Promise<void> {
  const { packages, signal, onProgress = silent } = options
  onProgress(`fetching ${packages.join(', ')} from Debian ${suite.name}`)
  const downloads = `${folder}.debs`
  try {
    await mkdir(downloads, { recursive: true })
    await download(suite, options, downloads)
    await unpack(downloads, folder, onProgress, signal)
  } finally {
    await rm(downloads, { recursive: true, force: true })
  }
}

async function download(suite: DebianSuite, options: DebianPackagesOptions, folder: string): Promise<void> {
  const { packages, take, signal } = options
  const mirror = await debianMirror()
  const worlds = join(cacheFolder(), 'apt')
  await mkdir(worlds, { recursive: true })
  const home = join(worlds, suite.name)
  // The lists are shared, so that several sets cost one update; apt wants its folder for itself.
  await withFolderLock(
    `${home}.lock`,
    async () => {
      const apt = await AptWorld.create(suite, mirror, home)
      await apt.update(signal)
      if (take === 'closure') return await apt.downloadClosure(packages, folder, signal)
      await apt.download(await followed(apt, options), folder, signal)
    },
    signal,
  )
}

async function followed(
  apt: AptWorld,
  { packages, follow, signal }: DebianPackagesOptions,
): Promise<string[]> {
  const names = new Set(packages)
  if (!follow) return [...names]
  // A set yields what is added while it is walked.
  for (const name of names) {
    for (const dependency of await apt.dependencies(name, signal)) {
      if (follow.test(dependency)) names.add(dependency)
    }
  }
  return [...names]
}

async function unpack(
  downloads: string,
  folder: string,
  onProgress: Progress,
  signal?: AbortSignal,
): Promise<void> {
  const names = (await readdir(downloads)).filter((name) => name.endsWith('.deb')).sort()
  onProgress(`unpacking ${names.length} packages`)
  await mkdir(folder, { recursive: true })
  const queue = names.values()
  const worker = async (): Promise<void> => {
    for (const name of queue) await runCommand('dpkg-deb', ['-x', join(downloads, name), folder], { signal })
  }
  await Promise.all(Array.from({ length: availableParallelism() }, worker))
  await writeFile(join(folder, 'packages.txt'), `${names.join('\n')}\n`)
}
