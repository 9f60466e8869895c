import { readFileSync } from 'node:fs'

/** The number of a group of /etc/group, or undefined where there is no such group. */
export function groupId(name: string, file = '/etc/group'): number | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
  for (const line of text.split('\n')) {
    const [group, , id] = line.split(':')
    if (group === name && id !== undefined && /^\d+$/.test(id)) return Number(id)
  }
  return undefined
}
