import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { cachedEntry, cacheFolder } from './cache.ts'
import { CommandFailedError, runCommand } from './run-command.ts'

const flags = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror']
const compileTimeoutMs = 60_000

/**
 * Compiles a C program of one file with this machine's compiler (CC, or cc) and resolves with the path of the executable,
 * which is kept in the cache. Static where the machine has a static C library; else it needs the one that the guest has for
 * Node.
 */
export async function compileProgram(source: string, signal?: AbortSignal): Promise<string> {
  const [compiler = 'cc', ...first] = (process.env.CC || 'cc').split(' ')
  const key = JSON.stringify([compiler, first, flags, await readFile(source, 'utf8')])
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 12)
  const compile = (how: readonly string[], to: string) =>
    runCommand(compiler, [...first, ...flags, ...how, '-o', to, source], {
      timeoutMs: compileTimeoutMs,
      signal,
    })
  return await cachedEntry(
    join(cacheFolder(), 'programs', `${basename(source, '.c')}-${hash}`),
    async (path) => {
      try {
        await compile(['-static'], path)
      } catch (error) {
        if (!(error instanceof CommandFailedError)) throw error
        await compile([], path)
      }
    },
    signal,
  )
}
