/**
 * The line (from 1) on which a TOML document names a key, for error messages: a TOML parser gives values without places.
 * Understands `[table]` headers and bare, quoted and dotted keys; undefined where the key is written in another way.
 */
export function lineOfKey(text: string, path: readonly string[]): number | undefined {
  let table: string[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const section = /^\s*\[\[?([^\]]+)\]/.exec(line)
    if (section) {
      table = keyParts(section[1] ?? '')
      if (startsWith(table, path)) return index + 1
      continue
    }
    const key = /^\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_.\s-])+?)\s*=/.exec(line)
    if (key && startsWith([...table, ...keyParts(key[1] ?? '')], path)) return index + 1
  }
  return undefined
}

function keyParts(text: string): string[] {
  return (text.match(/"[^"]*"|'[^']*'|[^.\s]+/g) ?? []).map((part) => part.replace(/^["']|["']$/g, ''))
}

function startsWith(key: readonly string[], path: readonly string[]): boolean {
  return path.length > 0 && path.length <= key.length && path.every((part, index) => key[index] === part)
}
