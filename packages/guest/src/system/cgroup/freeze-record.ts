import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'

/** The directories of the groups that may be frozen; none where there is no record. Throws where it cannot be read. */
export function readRecord(record: string): string[] {
  try {
    const lines = readFileSync(record, 'utf8').split('\n')
    return lines.filter((line) => line.startsWith('/'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Replaces the record as a whole: who is killed here leaves the one before. Without directories, there is none after. */
export function writeRecord(record: string, directories: readonly string[]): void {
  if (directories.length === 0) {
    rmSync(record, { force: true })
    return
  }
  const temporary = `${record}.new`
  writeFileSync(temporary, directories.map((directory) => `${directory}\n`).join(''), { mode: 0o600 })
  renameSync(temporary, record)
}
