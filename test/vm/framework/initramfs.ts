import { createWriteStream } from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type BaseArchiveOptions, baseArchive } from './base-archive.ts'
import { cpioArchive } from './cpio.ts'
import { type GuestFiles, readFileTrees } from './file-trees.ts'
import { guestSystemEntries } from './guest-system.ts'

/** What is in the initramfs. */
export interface InitramfsOptions extends BaseArchiveOptions {
  /** Where to write it. */
  path: string
  /** Files for the guest, besides its user space and the agent. */
  trees?: readonly GuestFiles[]
}

/**
 * Writes an initramfs: a base archive, which is built once and kept in the cache, followed by a small one (init, agent, the
 * trees), which is always built anew. Nothing is compressed: an emulated guest unpacks more slowly than QEMU copies.
 */
export async function buildInitramfs(options: InitramfsOptions): Promise<void> {
  const base = await baseArchive(options)
  const own = [...(await guestSystemEntries(options.init)), ...(await readFileTrees(options.trees ?? []))]
  await copyFile(base, options.path)
  await pipeline(Readable.from(cpioArchive(own)), createWriteStream(options.path, { flags: 'a' }))
}
