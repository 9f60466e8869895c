import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connectionLimit } from './open-files.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'snapsafe-limits-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** What is possible under this limit on open files, of 4096 that are wanted, and what is said about it. */
function under(limit: string): [number, string[]] {
  const limits = join(folder, 'limits')
  writeFileSync(
    limits,
    `Max processes             15341  15341  processes\nMax open files            ${limit}\n`,
  )
  const warnings: string[] = []
  return [connectionLimit(4096, { warning: (message) => warnings.push(message) }, limits), warnings]
}

describe('connections', () => {
  it('are as many as are wanted where each has two descriptors, and the daemon some of its own', () => {
    expect(under('8256  8256  files')).toEqual([4096, []])
    expect(under('unlimited  unlimited  files')).toEqual([4096, []])
  })

  it('are as many as leave room for what comes with them, and that is said', () => {
    expect(under('8255  524288  files')[0]).toBe(4095)
    expect(under('1024  524288  files')).toEqual([
      480,
      [
        'max_connections is 4096, but the limit on open files leaves 480; raise it (LimitNOFILE=) to have more',
      ],
    ])
  })

  it('are one at least', () => {
    expect(under('32  32  files')[0]).toBe(1)
  })
})
