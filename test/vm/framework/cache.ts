import { randomBytes } from 'node:crypto'
import { access, mkdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { withFolderLock } from './folder-lock.ts'

/** The folder of everything that is fetched or built once: packages, initramfs parts. Safe to delete at any time. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env.SNAPSAFE_VM_CACHE) return env.SNAPSAFE_VM_CACHE
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'snapsafe', 'vm')
}

/**
 * Resolves with the path of a cache entry (a file or a folder), building it if there is none. `build` fills a temporary
 * path beside it, which is renamed when it is whole; so an entry that exists is complete, also after a crash. Processes
 * that want the same entry wait for the one that builds it.
 */
export async function cachedEntry(
  path: string,
  build: (temporaryPath: string) => Promise<void>,
  signal?: AbortSignal,
): Promise<string> {
  if (await exists(path)) return path
  await mkdir(dirname(path), { recursive: true })
  await withFolderLock(
    `${path}.lock`,
    async () => {
      if (await exists(path)) return
      const temporary = `${path}.new-${randomBytes(4).toString('hex')}`
      try {
        await build(temporary)
        await rename(temporary, path).catch(async (error: unknown) => {
          // Somebody who took this lock for a dead one was faster; what is there is whole as well.
          if (!(await exists(path))) throw error
        })
      } finally {
        await rm(temporary, { recursive: true, force: true })
      }
    },
    signal,
  )
  return path
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}
