import { access, readFile } from 'node:fs/promises'
import { basename } from 'node:path'

/** Where Debian has the files that its Node reads at start instead of carrying them (node's `--shared-builtin-…-path`). */
const pathPattern = /\/usr\/share\/nodejs\/[\w./-]+\.js/g

/**
 * The JavaScript files that a Node program reads at its start, without which it aborts: none for Node's own builds. Found as
 * texts in the program, or in its libnode, since nothing else names them; those that this machine has.
 */
export async function externalBuiltins(program: string, libraries: readonly string[]): Promise<string[]> {
  const libnode = libraries.filter((path) => basename(path).startsWith('libnode.'))
  const found: string[] = []
  for (const path of [program, ...libnode]) {
    const text = (await readFile(path)).toString('latin1')
    for (const [builtin] of text.matchAll(pathPattern)) {
      if (found.includes(builtin)) continue
      if (
        await access(builtin).then(
          () => true,
          () => false,
        )
      )
        found.push(builtin)
    }
  }
  return found
}
