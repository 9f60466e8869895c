import { setTimeout as sleep } from 'node:timers/promises'
import type { Guest } from '../framework/guest.ts'

const pollMs = 100
const untilTimeoutMs = 60_000

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

/** Resolves with the properties once they satisfy `wanted`; rejects with the last ones if they do not within a minute. */
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
