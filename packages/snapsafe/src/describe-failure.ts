/** How much of an error's message is told to the daemon. */
const maxChars = 500

/** What to say of anything that was thrown, in at least one character. Never throws. */
export function describeFailure(error: unknown): string {
  let text = ''
  try {
    text = String((error as Error | null | undefined)?.message || error)
  } catch {
    // Not everything can be made a string.
  }
  // No half of a character at the cut.
  return text.slice(0, maxChars).replace(/\p{Cs}$/u, '') || 'it did not say why'
}
