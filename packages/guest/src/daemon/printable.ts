/** Texts of callers are shown on terminals, root's among them: cut, and without control characters, as names are. */
export function printable(text: string, maxChars: number): string {
  return text.slice(0, maxChars).replace(/\p{C}+/gu, ' ')
}
