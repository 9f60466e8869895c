import { readFile, realpath, stat } from 'node:fs/promises'
import type { Userland } from './base-archive.ts'
import { externalBuiltins } from './external-builtins.ts'
import { parentFolders, readFileTrees } from './file-trees.ts'
import { sharedLibraries } from './shared-libraries.ts'

/** busybox, and this machine's Node with its libraries. */
export async function shellUserland(busybox: string): Promise<Userland> {
  const node = await realpath(process.execPath)
  const { size, mtimeMs } = await stat(node)
  return {
    key: [node, size, mtimeMs],
    async entries() {
      const libraries = await sharedLibraries(node)
      const builtins = await externalBuiltins(node, libraries)
      return [
        ...parentFolders('/usr/bin/node'),
        { kind: 'folder', path: 'bin' },
        { kind: 'file', path: 'bin/busybox', mode: 0o755, data: await readFile(busybox) },
        { kind: 'link', path: 'bin/sh', target: 'busybox' },
        { kind: 'file', path: 'usr/bin/node', mode: 0o755, data: await readFile(node) },
        ...(await readFileTrees([...libraries, ...builtins].map((path) => ({ from: path, to: path })))),
      ]
    },
  }
}
