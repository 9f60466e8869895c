import { readRecord, writeRecord } from './freeze-record.ts'
import { writeGroupFile } from './group-file.ts'

/**
 * Thaws every group of a record, and removes the record. It needs nothing else, so that a daemon that cannot start can
 * still do it. Returns the problems, in words; what could not be thawed stays on record, for the next attempt.
 */
export function thawRecorded(record: string): string[] {
  let directories: string[]
  try {
    directories = readRecord(record)
  } catch (error) {
    return [`cannot read ${record}, so it is not known what is frozen: ${(error as Error).message}`]
  }
  if (directories.length === 0) return []
  const problems: string[] = []
  const left = directories.filter((directory) => {
    try {
      writeGroupFile(directory, 'cgroup.freeze', '0')
      return false
    } catch (error) {
      problems.push(`cannot thaw ${directory}: ${(error as Error).message}`)
      return true
    }
  })
  try {
    writeRecord(record, left)
  } catch (error) {
    problems.push(`cannot update ${record}: ${(error as Error).message}`)
  }
  return problems
}
