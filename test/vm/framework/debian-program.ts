import { access } from 'node:fs/promises'
import { join } from 'node:path'

const libraryFolders = [
  'usr/lib/x86_64-linux-gnu',
  'lib/x86_64-linux-gnu',
  'usr/lib/x86_64-linux-gnu/systemd',
  'usr/lib',
  'lib',
]
const dynamicLinkers = ['usr/lib64/ld-linux-x86-64.so.2', 'lib64/ld-linux-x86-64.so.2']

/**
 * The command that runs a program of unpacked packages (`debianPackages`, with their closure) with their own dynamic linker
 * and libraries, so that the machine's own do not matter. Throws where this machine cannot run Debian's amd64 programs.
 */
export async function debianProgram(root: string, path: string): Promise<string[]> {
  if (process.arch !== 'x64') {
    throw new Error(
      `the tests run amd64 programs of Debian; this machine is ${process.arch}: run them on x86-64`,
    )
  }
  const linker = await firstExisting(dynamicLinkers.map((name) => join(root, name)))
  const libraries = libraryFolders.map((folder) => join(root, folder)).join(':')
  return [linker, '--library-path', libraries, join(root, path)]
}

async function firstExisting(paths: readonly string[]): Promise<string> {
  for (const path of paths) {
    try {
      await access(path)
      return path
    } catch {}
  }
  throw new Error(`none of ${paths.join(', ')} exists: delete the cache folder and fetch again`)
}
