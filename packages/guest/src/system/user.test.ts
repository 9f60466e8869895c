import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { userId } from './user.ts'

describe('the number of a user', () => {
  let folder: string
  let file: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'snapsafe-user-'))
    file = join(folder, 'passwd')
    writeFileSync(file, 'root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/var/www:/bin/false\nodd:x::1:::\n')
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it.each([
    ['web', 33],
    ['root', 0],
    ['33', 33],
    [7, 7],
    ['we', undefined],
    ['odd', undefined],
  ])('%j is %j', (user, id) => {
    expect(userId(user, file)).toBe(id)
  })

  it('is unknown where there is no list', () => {
    expect(userId('web', join(folder, 'none'))).toBeUndefined()
  })
})
