import { readFile } from 'node:fs/promises'
import type { Userland } from './base-archive.ts'
import type { CpioEntry } from './cpio.ts'
import { debianPackages } from './debian-packages.ts'
import { trixie } from './debian-suite.ts'
import { readFileTrees } from './file-trees.ts'
import type { Progress } from './progress.ts'
import { runCommand } from './run-command.ts'

/** Grows when other files are left out. */
const selectionVersion = 1

/** One suite for all of them, so that systemd and Node have the libc that they were built for, whatever this machine has. */
const packages = ['systemd', 'base-files', 'dbus', 'nodejs'] as const

/** What the targets of the packages start: the rest is for machines with disks, terminals, TPMs and administrators. */
const wanted: ReadonlySet<string> = new Set([
  'dbus.service',
  'dbus.socket',
  'systemd-journald.service',
  'systemd-journald.socket',
  'systemd-journald-dev-log.socket',
  'systemd-random-seed.service',
  'systemd-sysctl.service',
  'systemd-sysusers.service',
  'systemd-tmpfiles-setup-dev.service',
  'systemd-tmpfiles-setup-dev-early.service',
  'systemd-tmpfiles-setup.service',
  'tmp.mount',
])

/** busybox programs that would act as if PID 1 were busybox, or that are none to be called by name. */
const notLinked: ReadonlySet<string> = new Set(['init', 'linuxrc', 'halt', 'poweroff', 'reboot', 'busybox'])

/** systemd, D-Bus and Node of Debian stable with what they depend on, as a root file system, and busybox for the rest. */
export async function systemdUserland(
  busybox: string,
  options: { onProgress: Progress; signal: AbortSignal | undefined },
): Promise<Userland> {
  const root = await debianPackages({ suites: [trixie], packages, take: 'closure', ...options })
  return {
    key: [root, selectionVersion],
    async entries() {
      const tree = await readFileTrees([{ from: root, to: '/', exclude: isNotNeeded }])
      const present = new Set(tree.map(({ path }) => path))
      const names = (await runCommand(busybox, ['--list'])).toString('utf8').split('\n')
      const missing = names.filter((name) => {
        return name !== '' && !notLinked.has(name) && !inPath(name).some((path) => present.has(path))
      })
      return [
        ...tree,
        { kind: 'file', path: 'usr/bin/busybox', mode: 0o755, data: await readFile(busybox) },
        ...missing.map((name): CpioEntry => ({ kind: 'link', path: `usr/bin/${name}`, target: 'busybox' })),
      ]
    },
  }
}

/** Whether a path of the packages stays behind: what costs the guest memory, or time at its boot, and serves no test. */
export function isNotNeeded(path: string): boolean {
  const want = /^usr\/lib\/systemd\/system\/[^/]+\.wants\/(.+)$/.exec(path)?.[1]
  if (want !== undefined) return !wanted.has(want)
  if (/^usr\/share\/nodejs\/(?:corepack|@types)$/.test(path)) return true
  if (/^usr\/share\/[^/]+$/.test(path)) return !/\/(?:dbus-1|nodejs)$/.test(path)
  return /^(?:packages\.txt|usr\/lib\/x86_64-linux-gnu\/gconv|usr\/lib\/systemd\/system-generators)$/.test(
    path,
  )
}

function inPath(name: string): string[] {
  return [`usr/bin/${name}`, `usr/sbin/${name}`]
}
