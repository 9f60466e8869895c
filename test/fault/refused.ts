import { generationErrorName } from 'snapsafe/protocol'

/** Resolves when the call is refused with this error of the interface; rejects as the call does with any other. */
export async function refused(call: Promise<unknown>, name: string): Promise<void> {
  const error = await call.then(
    () => new Error(`${name} was expected, and nothing was refused`),
    (reason: unknown) => reason,
  )
  if (generationErrorName(error) !== name) throw error
}
