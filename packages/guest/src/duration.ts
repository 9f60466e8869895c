const msPerUnit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** What a duration looks like, for messages. */
export const durationForm = 'a number with a unit: 500ms, 10s, 2m, 1h or 1d'

/** Milliseconds of a text such as `10s`; undefined where it is not of the form that `durationForm` describes. */
export function parseDurationMs(text: string): number | undefined {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/.exec(text)
  if (!match) return undefined
  return Math.round(Number(match[1]) * msPerUnit[match[2] as keyof typeof msPerUnit])
}
