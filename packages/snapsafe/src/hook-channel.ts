import { channel } from 'node:diagnostics_channel'

/** A hook has ended. */
export interface HookEnded {
  readonly name: string
  /** The current one. */
  readonly generation: number
  /**
   * After a restore: confirmed, failed or superseded. Before a planned snapshot: prepared or vetoed. After one that had no
   * restore: resumed or failed.
   */
  readonly outcome: 'confirmed' | 'failed' | 'superseded' | 'prepared' | 'vetoed' | 'resumed'
  /** Of what did not go well. */
  readonly error?: unknown
}

const hookChannel = channel('snapsafe:hook')

/** Publishes on the diagnostics channel `snapsafe:hook`. */
export function publishHook(ended: HookEnded): void {
  hookChannel.publish(ended)
}
