/** Random values by kind, as the programs give them. */
export type Values = Readonly<Record<string, readonly string[]>>

/**
 * How many values of each kind are found in more than one clone. Compared as sets: two clones that draw from one stream at
 * different speeds repeat each other at different places.
 */
export function countEqual(clones: readonly Values[]): Record<string, number> {
  const kinds = [...new Set(clones.flatMap((values) => Object.keys(values)))]
  return Object.fromEntries(kinds.map((kind) => [kind, sharedValues(clones, kind).size]))
}

/** The values of a kind that are found in more than one clone. */
export function sharedValues(clones: readonly Values[], kind: string): Set<string> {
  const holders = new Map<string, number>()
  for (const values of clones) {
    for (const value of new Set(values[kind] ?? [])) holders.set(value, (holders.get(value) ?? 0) + 1)
  }
  return new Set([...holders].filter(([, count]) => count > 1).map(([value]) => value))
}
