import { serviceErrors } from 'snapsafe/protocol'
import { printable } from './printable.ts'

const maxReasonChars = 200

/** The reason that a caller gives, as it is shown; undefined where there is none. Throws InvalidParameter where it is too long. */
export function checkedReason(reason: string | null | undefined): string | undefined {
  if (reason == null) return undefined
  if (reason.length > maxReasonChars) throw serviceErrors.invalidParameter('reason')
  return printable(reason, maxReasonChars)
}
