import { mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Makes a directory and those above it, as `mkdir -p` does. Node's own `recursive` never returns where a parent takes no
 * entries, as in /proc (seen with Node 20).
 */
export function makeDirectory(path: string, mode = 0o755): void {
  try {
    mkdirSync(path, mode)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && statSync(path).isDirectory()) return
    const parent = dirname(path)
    if (code !== 'ENOENT' || parent === path) throw error
    makeDirectory(parent, mode)
    mkdirSync(path, mode)
  }
}
