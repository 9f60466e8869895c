import { fileURLToPath } from 'node:url'
import type { CpioEntry } from './cpio.ts'
import { type GuestFiles, readFileTrees } from './file-trees.ts'
import type { GuestInit } from './guest-options.ts'

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
] as const

/** A machine without an id is at its first boot to systemd, which enables all units then. */
const machineId = '5afe5afe5afe5afe5afe5afe5afe5afe\n'

const ownFiles: Readonly<Record<GuestInit, readonly GuestFiles[]>> = {
  shell: [{ from: `${guestFolder}/init`, to: '/init' }],
  systemd: [
    { from: `${guestFolder}/systemd/init`, to: '/init' },
    { from: `${guestFolder}/systemd/agent.service`, to: '/etc/systemd/system/agent.service' },
    { target: '../agent.service', to: '/etc/systemd/system/sysinit.target.wants/agent.service' },
    { from: `${guestFolder}/systemd/journald.conf`, to: '/etc/systemd/journald.conf' },
    { target: '/usr/lib/systemd/system/multi-user.target', to: '/etc/systemd/system/default.target' },
    { text: machineId, to: '/etc/machine-id' },
    { text: 'guest\n', to: '/etc/hostname' },
  ],
}

/** The guest's own small part of the root file system: /init, the agent, and who is who. */
export async function guestSystemEntries(init: GuestInit): Promise<CpioEntry[]> {
  const files = await readFileTrees([
    ...ownFiles[init],
    { from: guestFolder, to: '/agent', exclude: (path) => path === 'init' || path === 'systemd' },
  ])
  return [
    ...folders.map((path) => ({ kind: 'folder', path }) as const),
    // Debian has it as a link.
    ...(init === 'shell' ? [{ kind: 'folder', path: 'sbin' } as const] : []),
    // The kernel opens it for /init before /init can mount devtmpfs.
    { kind: 'device', path: 'dev/console', major: 5, minor: 1 },
    { kind: 'file', path: 'etc/passwd', data: Buffer.from(passwd) },
    { kind: 'file', path: 'etc/group', data: Buffer.from(group) },
    { kind: 'file', path: 'etc/hosts', data: Buffer.from('127.0.0.1 localhost guest\n') },
    ...files.map((entry) => (entry.path === 'init' ? { ...entry, mode: 0o755 } : entry)),
  ]
}
