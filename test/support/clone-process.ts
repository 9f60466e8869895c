import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LibraryProgram } from './library-program.ts'

const compileTimeoutMs = 60_000
const headers = join(import.meta.dirname, '../../node_modules/node-api-headers/include')
/** Without a shell in between: the program is to be process 1 of its namespace. Its children end with it. */
const launcher = ['unshare', '--pid', '--fork', '--kill-child']

/** Compiles the addon of clone-process.c into a directory of its own. Needs root to be of use, and a C compiler. */
export class CloneRig {
  readonly #dir = mkdtempSync(join(tmpdir(), 'snapsafe-clone-'))
  readonly #addon = join(this.#dir, 'clone-process.node')

  constructor() {
    const source = join(import.meta.dirname, 'clone-process.c')
    const flags = ['-std=c11', '-O1', '-Wall', '-Werror', '-fPIC', '-shared', `-I${headers}`]
    execFileSync('cc', [...flags, '-o', this.#addon, source], { timeout: compileTimeoutMs })
  }

  /**
   * Starts a program that is made of `source`, which can `cloneProcess(count)` and `endProcess()` (see clone-process.c). A
   * clone has one thread only, so it writes with `tell(value)`, and does nothing that waits.
   */
  start(source: string, runtimeDir: string): LibraryProgram {
    const prelude = `
      import { createRequire } from 'node:module'
      import { writeSync } from 'node:fs'
      const { cloneProcess, endProcess } = createRequire(import.meta.url)(${JSON.stringify(this.#addon)})
      const tell = (value) => writeSync(1, JSON.stringify(value) + '\\n')
      `
    return new LibraryProgram(prelude + source, { runtimeDir, launcher, nodeArgs: ['--single-threaded'] })
  }

  [Symbol.dispose](): void {
    rmSync(this.#dir, { recursive: true, force: true })
  }
}
