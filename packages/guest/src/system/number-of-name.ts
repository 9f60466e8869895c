import { readFileSync } from 'node:fs'

/**
 * The number of a name in a file such as /etc/passwd and /etc/group, which have the name first and the number third; undefined
 * where there is no such name, or no such file.
 */
export function numberOfName(file: string, wanted: string): number | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
  for (const line of text.split('\n')) {
    const [name, , id] = line.split(':')
    if (name === wanted && id !== undefined && /^\d+$/.test(id)) return Number(id)
  }
  return undefined
}
