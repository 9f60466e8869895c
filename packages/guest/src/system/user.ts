import { readFileSync } from 'node:fs'

/** The number of a user of /etc/passwd, or of a number itself; undefined where there is no such user. */
export function userId(user: string | number, file = '/etc/passwd'): number | undefined {
  if (typeof user === 'number') return user
  if (/^\d+$/.test(user)) return Number(user)
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
  for (const line of text.split('\n')) {
    const [name, , id] = line.split(':')
    if (name === user && id !== undefined && /^\d+$/.test(id)) return Number(id)
  }
  return undefined
}
