import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readSeed } from './seed.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'snapsafe-seed-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function seedFile(bytes: Uint8Array): string {
  const path = join(folder, 'seed')
  writeFileSync(path, bytes)
  return path
}

describe('a seed file', () => {
  it.each([64, 65, 512])('of %i bytes is read as hexadecimal digits', async (length) => {
    const bytes = randomBytes(length)
    expect(await readSeed(seedFile(bytes))).toBe(bytes.toString('hex'))
  })

  it.each([
    [0, '0'],
    [63, '63'],
    [513, 'more than 512'],
    [100_000, 'more than 512'],
  ])('of %i bytes is a usage error that shows nothing of it', async (length, text) => {
    const path = seedFile(Buffer.alloc(length, 'secret'))
    await expect(readSeed(path)).rejects.toMatchObject({
      message: `a seed has 64 to 512 bytes; ${path} has ${text}`,
      exitCode: 2,
    })
  })

  it('that has no end is not read to it', async () => {
    await expect(readSeed('/dev/zero')).rejects.toMatchObject({ exitCode: 2 })
  })

  it('that cannot be read is an error that names it', async () => {
    await expect(readSeed(join(folder, 'none'))).rejects.toMatchObject({
      message: expect.stringMatching(/^cannot read the seed from .*none: ENOENT/),
      exitCode: 1,
    })
    await expect(readSeed(folder)).rejects.toMatchObject({ message: expect.stringContaining('EISDIR') })
  })
})
