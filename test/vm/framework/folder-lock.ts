import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const pollMs = 100
/** The holder touches the lock this often, so that age alone tells a dead holder, whatever machine or container it was. */
const heartbeatMs = 5_000
const staleMs = 30_000
const waitTimeoutMs = 15 * 60_000

/**
 * Runs `work` while holding a lock that other processes respect. The lock is a folder; one whose holder has died is
 * taken over. Rejects if it cannot be had within 15 minutes.
 */
export async function withFolderLock<T>(
  path: string,
  work: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  await acquire(path, signal)
  const heartbeat = setInterval(() => void touch(path), heartbeatMs)
  try {
    return await work()
  } finally {
    clearInterval(heartbeat)
    await rm(path, { recursive: true, force: true })
  }
}

async function acquire(path: string, signal?: AbortSignal): Promise<void> {
  const deadline = Date.now() + waitTimeoutMs
  while (Date.now() < deadline) {
    try {
      await mkdir(path)
      await writeFile(join(path, 'holder'), `${process.pid} ${hostname()}\n`)
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    if (await isStale(path)) await remove(path)
    else await sleep(pollMs, undefined, signal ? { signal } : {})
  }
  throw new Error(
    `the lock ${path} was not free within ${waitTimeoutMs} ms: remove it if nobody is at work there`,
  )
}

async function isStale(path: string): Promise<boolean> {
  try {
    if (Date.now() - (await stat(path)).mtimeMs > staleMs) return true
    const [pid, host] = (await readFile(join(path, 'holder'), 'utf8')).trim().split(' ')
    return host === hostname() && !isAlive(Number(pid))
  } catch {
    // Just released, or just taken and not yet signed: look again.
    return false
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Renames first, so that of several processes that find the lock stale only one gets it away. */
async function remove(path: string): Promise<void> {
  const away = `${path}.stale-${randomBytes(4).toString('hex')}`
  await rename(path, away).catch(() => {})
  await rm(away, { recursive: true, force: true })
}

async function touch(path: string): Promise<void> {
  const now = new Date()
  await utimes(path, now, now).catch(() => {})
}
