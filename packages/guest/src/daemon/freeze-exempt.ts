import type { GroupReason } from '../system/cgroup/freeze-plan.ts'

/** Process 1 takes the orphans and, with systemd, the daemon's messages; it has a group of its own there. */
export const alwaysRunning: readonly GroupReason[] = [{ group: '/init.scope', why: 'process 1 runs in it' }]

const journal = 'the log of snapsafed would stall'
const agent = 'the host speaks through it'

/**
 * What must run on with systemd, besides. Instances of a template are in a slice of the template's name, where systemd
 * writes a dash as \x2d.
 */
export const runningWithSystemd: readonly GroupReason[] = [
  { group: '/system.slice/systemd-journald.service', why: journal },
  { group: '/system.slice/systemd-journald@*.service', why: journal },
  { group: '/system.slice/system-systemd\\x2djournald.slice', why: journal },
  { group: '/system.slice/systemd-udevd.service', why: 'devices change when the host restores the guest' },
  { group: '/system.slice/qemu-guest-agent*.service', why: agent },
  { group: '/system.slice/qemu-ga*.service', why: agent },
  { group: '/system.slice/system-qemu\\x2dga.slice', why: agent },
]
