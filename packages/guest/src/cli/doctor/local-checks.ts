import { closeSync, constants, existsSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { loadNative, missingWithoutAddon } from 'snapsafe/native'
import { openPage, pagePath } from 'snapsafe/protocol'
import type { Finding } from './check.ts'

/** The names that the kernel's VMGenID driver binds to (drivers/virt/vmgenid.c, and the hypervisors' device ids). */
const vmgenidPattern = /^(?:QEMUVGID|VMGENCTR|FCVMGID|VM_GEN_COUNTER|MSFT1000)/i

export function checkAddon(): Finding {
  const { addon, reason } = loadNative()
  if (addon) return { check: 'addon', verdict: 'ok', found: 'the native addon is loaded' }
  const found = `${reason}; so ${missingWithoutAddon.join('; ')}`
  return { check: 'addon', verdict: 'failed', found, advice: 'run "npm run build" where a C compiler is' }
}

export function checkPage(runtimeDir: string): Finding {
  const path = pagePath(runtimeDir)
  try {
    const page = openPage(path)
    const { generation, phase } = page.read()
    page.close()
    const how =
      page.how === 'mapped' ? 'mapped: a check is a load from memory' : 'read: a check is a system call'
    const found = `${path}: generation ${generation}, ${phase}; ${how}`
    return { check: 'page', verdict: page.how === 'mapped' ? 'ok' : 'warning', found }
  } catch (error) {
    return {
      check: 'page',
      verdict: 'failed',
      found: (error as Error).message,
      advice: 'start snapsafed; it makes the page before other services start',
    }
  }
}

export function checkKernelLog(path = '/dev/kmsg'): Finding {
  const check = 'kernel-log'
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      readSync(fd, Buffer.alloc(8192))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    } finally {
      closeSync(fd)
    }
    return { check, verdict: 'ok', found: `${path} can be read` }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if ((code === 'EPERM' || code === 'EACCES') && process.getuid?.() !== 0) {
      const found = `${path} cannot be read by this user; that is as it should be, and the daemon runs as root`
      return { check, verdict: 'unknown', found, advice: 'run "snapsafe doctor" as root to know' }
    }
    const advice =
      'without it, a restore is seen by other evidence only; run the daemon as root outside of a container'
    return { check, verdict: 'failed', found: `${path}: ${message}`, advice }
  }
}

export function checkVmgenidDevice(root = '/sys/bus'): Finding {
  const check = 'vmgenid-device'
  const devices = ['acpi', 'platform'].flatMap((bus) => list(join(root, bus, 'devices')))
  const found = devices.find((name) => vmgenidPattern.test(name))
  if (found)
    return { check, verdict: 'ok', found: `the hypervisor offers a VM Generation ID device (${found})` }
  if (existsSync('/proc/device-tree/vmgenid')) {
    return { check, verdict: 'ok', found: 'the device tree has a VM Generation ID device' }
  }
  return {
    check,
    verdict: 'failed',
    found: 'no VM Generation ID device is visible',
    advice:
      'add one: QEMU "-device vmgenid,guid=auto", libvirt <genid/>; Firecracker and Hyper-V have it always',
  }
}

export function checkVmgenidDriver(root = '/sys/bus'): Finding {
  const check = 'vmgenid-driver'
  for (const bus of ['platform', 'acpi']) {
    const driver = join(root, bus, 'drivers/vmgenid')
    if (!existsSync(driver)) continue
    const bound = list(driver).find((name) => vmgenidPattern.test(name) || name.includes('vmgenid'))
    if (bound) return { check, verdict: 'ok', found: `the kernel's driver is bound to ${bound}` }
    return {
      check,
      verdict: 'failed',
      found: 'the kernel has the driver, but it is bound to no device',
      advice: 'see vmgenid-device',
    }
  }
  const release = readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim()
  return {
    check,
    verdict: 'failed',
    found: `kernel ${release} has no VM Generation ID driver: it neither reseeds itself nor logs a restore`,
    advice:
      'use a kernel from 5.18 on with CONFIG_VMGENID (Debian\'s 6.1 cloud kernel lacks it), or "snapsafe bump" after each restore',
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
