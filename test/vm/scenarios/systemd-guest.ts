import { setTimeout as sleep } from 'node:timers/promises'
import type { Guest } from '../framework/guest.ts'

const pollMs = 500
const groupsFolder = '/sys/fs/cgroup'
const untilTimeoutMs = 120_000

/**
 * Freezes every unit of system.slice and user.slice, the journal and D-Bus among them, and resolves with the thaw when they
 * stand still. Never a slice: systemd 254 and later waits for what it starts inside one until the thaw, doing nothing else.
 */
export async function freezeOthers(guest: Guest): Promise<() => Promise<void>> {
  const slices = ['system.slice', 'user.slice'].map((name) => `${groupsFolder}/${name}`)
  const found = await guest.run(['find', ...slices, '-type', 'd', '-name', '*.service'])
  const groups = found.split('\n').filter((line) => line !== '')
  for (const group of groups) await guest.writeFile(`${group}/cgroup.freeze`, '1')
  for (const group of groups) await guest.waitFile(`${group}/cgroup.events`, { contains: 'frozen 1' })
  return async () => {
    for (const group of groups) await guest.writeFile(`${group}/cgroup.freeze`, '0')
  }
}

/** The groups that somebody has frozen, not those below them. */
export async function frozenGroups(guest: Guest): Promise<string[]> {
  const { stdout } = await guest.exec(['grep', '-rlx', '--include=cgroup.freeze', '1', groupsFolder])
  return stdout.split('\n').flatMap((line) => /^(.*)\/cgroup\.freeze$/.exec(line)?.[1] ?? [])
}

/** Properties of a unit, as `systemctl show` names and writes them. */
export async function unitProperties<Name extends string>(
  guest: Guest,
  unit: string,
  names: readonly Name[],
): Promise<Record<Name, string>> {
  const text = await guest.run(['systemctl', 'show', unit, `--property=${names.join(',')}`])
  const found = text.split('\n').map((line): [string, string] => {
    const [name = '', ...value] = line.split('=')
    return [name, value.join('=')]
  })
  const values = new Map(found)
  return Object.fromEntries(names.map((name) => [name, values.get(name) ?? ''])) as Record<Name, string>
}

/** Resolves with the properties once they satisfy `wanted`; rejects with the last ones if they do not within two minutes. */
export async function untilUnit<Name extends string>(
  guest: Guest,
  unit: string,
  names: readonly Name[],
  wanted: (properties: Record<Name, string>) => boolean,
): Promise<Record<Name, string>> {
  const deadline = performance.now() + untilTimeoutMs
  for (;;) {
    const properties = await unitProperties(guest, unit, names)
    if (wanted(properties)) return properties
    if (performance.now() > deadline) {
      const journal = await guest.exec(['journalctl', '--no-pager', '-n', '20', '-u', unit])
      throw new Error(`${unit} has stayed ${JSON.stringify(properties)}; its journal:\n${journal.stdout}`)
    }
    await sleep(pollMs)
  }
}
