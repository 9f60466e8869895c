import { z } from 'zod'
import { durationForm, parseDurationMs } from '../duration.ts'

/** auto: where it can work. on: the daemon does not start without it. off: never. */
export const mode = z.enum(['auto', 'on', 'off'])

/** A text such as `10s`; its value is in milliseconds. */
export const durationMs = z.string().transform((text, context) => {
  const ms = parseDurationMs(text)
  if (ms !== undefined) return ms
  context.addIssue({ code: 'custom', message: `"${text}" is not ${durationForm}` })
  return z.NEVER
})
