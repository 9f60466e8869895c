import type { IdlMethod } from './idl/description.ts'
import type { JsonObject } from './json.ts'

/** A call that was sent and whose last reply has not come. */
export interface PendingReply {
  /** Fully qualified. */
  readonly name: string
  readonly method: IdlMethod
  readonly more: boolean
  /** A valid reply; the last one if not `continues`. */
  accept(parameters: JsonObject, continues: boolean): void
  /** Ends the call; nothing follows. */
  fail(error: unknown): void
}
