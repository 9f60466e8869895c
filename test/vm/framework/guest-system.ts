import { fileURLToPath } from 'node:url'
import type { CpioEntry } from './cpio.ts'
import { readFileTrees } from './file-trees.ts'

const guestFolder = fileURLToPath(new URL('../guest', import.meta.url))

/** Uid and gid of the unprivileged user `user` in the guest. */
export const guestUserId = 1000

const passwd = `root:x:0:0:root:/root:/bin/sh
user:x:${guestUserId}:${guestUserId}:user:/home/user:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
`
const group = `root:x:0:
user:x:${guestUserId}:
nogroup:x:65534:
`
/** Folders that /init mounts on, and those that programs expect. */
const folders = [
  'dev',
  'proc',
  'sys',
  'run',
  'tmp',
  'root',
  'etc',
  'home',
  'home/user',
  'var',
  'var/lib',
  'var/log',
  'sbin',
]

/** The guest's own small part of the root file system: /init, the agent, and who is who. */
export async function guestSystemEntries(): Promise<CpioEntry[]> {
  return [
    ...folders.map((path) => ({ kind: 'folder', path }) as const),
    // The kernel opens it for /init before /init can mount devtmpfs.
    { kind: 'device', path: 'dev/console', major: 5, minor: 1 },
    { kind: 'file', path: 'etc/passwd', data: Buffer.from(passwd) },
    { kind: 'file', path: 'etc/group', data: Buffer.from(group) },
    { kind: 'file', path: 'etc/hosts', data: Buffer.from('127.0.0.1 localhost guest\n') },
    ...(
      await readFileTrees([
        { from: `${guestFolder}/init`, to: '/init' },
        { from: guestFolder, to: '/agent', exclude: (path) => path === 'init' },
      ])
    ).map((entry) => (entry.path === 'init' ? { ...entry, mode: 0o755 } : entry)),
  ]
}
