import { readFileSync } from 'node:fs'

/** What a daemon needs beside its connections: page, lock, log, kernel, files that are being written. */
const reservedFiles = 64
/** The socket, and either the memory that it protects or the process of its watcher. */
const filesPerConnection = 2

/** How many connections there can be: those that are wanted, or what the limit on open files (RLIMIT_NOFILE) leaves. */
export function connectionLimit(
  wanted: number,
  log: { warning(message: string): void },
  limits = '/proc/self/limits',
): number {
  const soft = /^Max open files\s+(\d+)/m.exec(readFileSync(limits, 'utf8'))?.[1]
  const possible =
    soft === undefined ? wanted : Math.max(1, Math.floor((Number(soft) - reservedFiles) / filesPerConnection))
  if (possible >= wanted) return wanted
  log.warning(
    `max_connections is ${wanted}, but the limit on open files leaves ${possible}; raise it (LimitNOFILE=) to have more`,
  )
  return possible
}
