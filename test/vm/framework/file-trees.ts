import { lstat, readdir, readFile, readlink, stat } from 'node:fs/promises'
import { join, posix, relative } from 'node:path'
import type { CpioEntry } from './cpio.ts'

/** Files of the machine that the guest gets. */
export interface FileTree {
  /** A file or a folder of the machine. A link here is followed; links inside a folder stay links. */
  from: string
  /** Absolute path in the guest. */
  to: string
  /** Says which paths, relative to `from`, to leave out; a folder that is left out is not entered. */
  exclude?: (path: string) => boolean
}

/** A symbolic link that the guest gets. */
export interface FileLink {
  target: string
  /** Absolute path in the guest. */
  to: string
}

/** A text that the guest gets as a file. */
export interface FileText {
  text: string
  /** Absolute path in the guest. */
  to: string
}

/** What a guest can be given. */
export type GuestFiles = FileTree | FileLink | FileText

/** More is a mistake (a whole home folder), and the guest's memory would not hold it. */
const maxTreeBytes = 256 * 1024 * 1024

/** Reads the trees as archive entries, with the folders on the way to them, in a stable order. Keeps the mode bits. */
export async function readFileTrees(trees: readonly GuestFiles[]): Promise<CpioEntry[]> {
  const entries: CpioEntry[] = []
  let bytes = 0
  const add = async (tree: FileTree, path: string): Promise<void> => {
    const inside = relative(tree.from, path)
    if (inside !== '' && tree.exclude?.(inside)) return
    const to = posix.join(tree.to, inside).replace(/^\/+|\/+$/g, '')
    const info = await (inside === '' ? stat(path) : lstat(path))
    const mode = info.mode & 0o7777
    if (info.isDirectory()) {
      // The root itself is there already.
      if (to !== '') entries.push({ kind: 'folder', path: to, mode })
      for (const name of (await readdir(path)).sort()) await add(tree, join(path, name))
    } else if (info.isSymbolicLink()) {
      entries.push({ kind: 'link', path: to, target: await readlink(path) })
    } else if (info.isFile()) {
      bytes += info.size
      if (bytes > maxTreeBytes)
        throw new RangeError(`the trees for the guest exceed ${maxTreeBytes} bytes at ${path}`)
      entries.push({ kind: 'file', path: to, mode, data: await readFile(path) })
    }
    // Sockets, pipes and devices have no place in a tree of files.
  }
  for (const tree of trees) {
    if (!posix.isAbsolute(tree.to)) throw new RangeError(`${tree.to} is no absolute path in the guest`)
    entries.push(...parentFolders(tree.to))
    const path = tree.to.replace(/^\/+/, '')
    if ('target' in tree) entries.push({ kind: 'link', path, target: tree.target })
    else if ('text' in tree) entries.push({ kind: 'file', path, data: Buffer.from(tree.text) })
    else await add(tree, tree.from)
  }
  return entries
}

/** The folders above an absolute path, outermost first. Repeating a folder in an archive is harmless. */
export function parentFolders(path: string): CpioEntry[] {
  const names = path.split('/').filter((name) => name !== '')
  return names
    .slice(0, -1)
    .map((_name, index) => ({ kind: 'folder', path: names.slice(0, index + 1).join('/') }))
}
