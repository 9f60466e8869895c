import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  linkSync,
  openSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { type PageFault, PageForeignError, PageUnavailableError } from './page-errors.ts'
import * as layout from './page-layout.ts'

const pageMode = 0o444
/** While it is being opened: the mode of a page keeps out its own writer too, unless that may override it (CAP_DAC_OVERRIDE). */
const openingMode = 0o644
const writableByOthersMask = 0o022

/** An open page file, for reading and writing. The descriptor is the caller's. */
export interface PageFile {
  readonly fd: number
  readonly created: boolean
}

/**
 * Makes the file under another name, completely, and then links it to `path`: nobody ever sees a part of a page. If
 * somebody else was faster, theirs is taken. Throws as `continuePageFile` does.
 */
export function createPageFile(path: string, id: string, changedAtNs: bigint): PageFile {
  const unfinished = `${path}.${randomBytes(8).toString('hex')}.tmp`
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  const fd = attempt(path, () => openSync(unfinished, flags, pageMode))
  try {
    writeSync(fd, firstPage(id, changedAtNs), 0, layout.pageBytes, 0)
    // Whatever the umask was: the page is for everybody to read.
    fchmodSync(fd, pageMode)
    linkSync(unfinished, path)
    return { fd, created: true }
  } catch (error) {
    closeSync(fd)
    const existing = codeOf(error) === 'EEXIST' ? continuePageFile(path) : undefined
    if (existing !== undefined) return existing
    throw new PageUnavailableError(path, error)
  } finally {
    unlinkSync(unfinished)
  }
}

/**
 * Opens an existing page. undefined: there is no file. Throws PageForeignError for a file that is not a page of ours,
 * PageUnavailableError if it may not be opened for writing.
 */
export function continuePageFile(path: string): PageFile | undefined {
  let fd: number
  try {
    fd = openForWriting(path)
  } catch (error) {
    const code = codeOf(error)
    if (code === 'ENOENT') return undefined
    if (error instanceof PageForeignError) throw error
    if (code === 'ELOOP') throw new PageForeignError(path, 'symbolic link')
    // A directory, or a socket.
    if (code === 'EISDIR' || code === 'ENXIO') throw new PageForeignError(path, 'not a regular file')
    throw new PageUnavailableError(path, error)
  }
  const fault = findFault(fd)
  if (fault === undefined) {
    fchmodSync(fd, pageMode)
    return { fd, created: false }
  }
  closeSync(fd)
  throw new PageForeignError(path, fault)
}

function openForWriting(path: string): number {
  const flags = constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY
  try {
    return openSync(path, flags | constants.O_RDWR)
  } catch (error) {
    if (codeOf(error) !== 'EACCES') throw error
  }
  // By the descriptor and not by the name, which may lead elsewhere by then.
  const fd = openSync(path, flags | constants.O_RDONLY)
  try {
    const fault = findFault(fd)
    if (fault !== undefined) throw new PageForeignError(path, fault)
    fchmodSync(fd, openingMode)
    return openSync(`/proc/self/fd/${fd}`, constants.O_RDWR)
  } finally {
    closeSync(fd)
  }
}

function findFault(fd: number): PageFault | undefined {
  const file = fstatSync(fd)
  if (!file.isFile()) return 'not a regular file'
  if (file.size !== layout.pageBytes) return 'wrong size'
  if (file.uid !== process.geteuid?.()) return 'wrong owner'
  if ((file.mode & writableByOthersMask) !== 0) return 'writable by others'
  const header = Buffer.alloc(layout.headerBytes)
  readSync(fd, header, 0, layout.headerBytes, 0)
  return layout.isPage(header) ? undefined : 'wrong magic'
}

function firstPage(id: string, changedAtNs: bigint): Buffer {
  const page = Buffer.alloc(layout.pageBytes)
  const view = new DataView(page.buffer, page.byteOffset)
  page.set(layout.magicBytes, layout.magicOffset)
  page.write(id, layout.idOffset, 'hex')
  view.setBigUint64(layout.changedAtOffset, changedAtNs, layout.littleEndian)
  view.setUint32(layout.layoutVersionOffset, layout.layoutVersion, layout.littleEndian)
  return page
}

function attempt<T>(path: string, action: () => T): T {
  try {
    return action()
  } catch (error) {
    throw new PageUnavailableError(path, error)
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}
