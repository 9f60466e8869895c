import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/**
 * What a file of a group says, or undefined where the group is gone, or never had such a file. `directory` is the group's.
 */
export function readGroupFile(directory: string, file: string): string | undefined {
  try {
    return readFileSync(join(directory, file), 'utf8')
  } catch (error) {
    return ifGone(error)
  }
}

/** Writes to a file of a group; false where the group is gone, or never had such a file. Throws where it may not be written. */
export function writeGroupFile(directory: string, file: string, text: string): boolean {
  let fd: number
  try {
    // Without O_CREAT, which the kernel refuses here with another error than "no such file".
    fd = openSync(join(directory, file), constants.O_WRONLY | constants.O_NOFOLLOW)
  } catch (error) {
    return ifGone(error) ?? false
  }
  try {
    writeSync(fd, text)
    return true
  } catch (error) {
    return ifGone(error) ?? false
  } finally {
    closeSync(fd)
  }
}

/** A group that is removed while its file is open answers ENODEV. Anything else is thrown. */
function ifGone(error: unknown): undefined {
  const { code } = error as NodeJS.ErrnoException
  if (code !== 'ENOENT' && code !== 'ENODEV') throw error
  return undefined
}
