import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'
import type { NativeAddon } from 'snapsafe/native'

/** Another daemon runs on this directory. */
export class AlreadyRunningError extends Error {
  readonly code = 'ERR_SNAPSAFE_ALREADY_RUNNING'
  override readonly name = 'AlreadyRunningError'
}

/**
 * Takes the directory for this process, for as long as it lives: the kernel lets go of the lock however the process ends.
 * The file is for root alone, since flock(2) asks for no more than an open descriptor.
 */
export function takeLock(addon: NativeAddon, path: string): { close(): void } {
  const fd = openLock(path)
  if (!addon.tryLock(fd)) {
    closeSync(fd)
    const holder = readFileSync(path, 'utf8').trim()
    throw new AlreadyRunningError(
      `another snapsafed${holder && ` (pid ${holder})`} runs on ${path}; stop it first, or give this one another --runtime-dir`,
    )
  }
  ftruncateSync(fd)
  writeSync(fd, `${process.pid}\n`)
  return { close: () => closeSync(fd) }
}

function openLock(path: string): number {
  try {
    return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
  } catch (error) {
    throw new Error(
      `cannot use the lock ${path}: ${(error as Error).message}; remove what is there, or name another --runtime-dir`,
    )
  }
}
