/** The workload could not be frozen; it runs, as before, unless the message names what could not be thawed. */
export class FreezeError extends Error {
  readonly code = 'ERR_SNAPSAFE_FREEZE'
  override readonly name = 'FreezeError'
}
