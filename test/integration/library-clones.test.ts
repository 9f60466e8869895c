import { afterAll, describe, expect, it } from 'vitest'
import { CloneRig } from '../support/clone-process.ts'
import { lacking } from '../support/needs.ts'
import { TestPage } from '../support/test-page.ts'

const want = lacking('root', 'namespaces')
const page = new TestPage()
const rig = want ? undefined : new CloneRig()
afterAll(() => {
  rig?.[Symbol.dispose]()
  page[Symbol.dispose]()
})

const kinds = ['randomUUID', 'randomInt', 'randomBytes', 'getRandomValues', 'ed25519']
/** Draws one of each kind; and before it is cloned, so that the caches and OpenSSL's generators are filled. */
const drawing = `
import * as crypto from 'node:crypto'
import { guard, perGeneration } from 'snapsafe'
const draw = () => ({
  randomUUID: crypto.randomUUID(),
  randomInt: crypto.randomInt(2 ** 47),
  randomBytes: crypto.randomBytes(16).toString('hex'),
  getRandomValues: Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex'),
  ed25519: crypto.generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }).d,
})
const sessionKey = perGeneration(() => crypto.randomBytes(16).toString('hex'))
guard(draw)
draw()
sessionKey()
`

type Drawn = Record<string, string | number>

/** What two clones of one process drew, in three ways; a clone begins when the page says so. */
async function cloneTwice(clone: string): Promise<Drawn[]> {
  if (!rig) throw new Error('there is no rig')
  await using program = rig.start(
    `${drawing}
    say('drawn')
    listen(() => {
      const clone = cloneProcess(2)
      if (clone > 0) {
        ${clone}
        endProcess()
      }
      tell(clone === 0 ? 'both have ended' : 'a clone has failed')
      process.exit()
    })`,
    page.runtimeDir,
  )
  expect(await program.next()).toBe('drawn')
  // The page is shared memory, also with the clones: this is the moment in which the daemon declares the restore.
  page.bump()
  const said = [await program.ask('clone'), await program.next(), await program.next()]
  expect(said.at(-1)).toBe('both have ended')
  return said.slice(0, -1)
}

/** The kinds of values that both clones have in common. */
function equalKinds([first, second]: Drawn[]): string[] {
  return Object.keys(first ?? {}).filter((kind) => first?.[kind] === second?.[kind])
}

describe.skipIf(want)(`two clones of one process${want ? ` (${want})` : ''}`, () => {
  it('draw the same of everything where nobody cares', async () => {
    expect(equalKinds(await cloneTwice('tell(draw())'))).toEqual(kinds)
  })

  it('draw different values of everything under a guard', async () => {
    const drawn = await cloneTwice('tell(guard(draw))')
    expect(drawn.map((values) => Object.keys(values))).toEqual([kinds, kinds])
    expect(equalKinds(drawn)).toEqual([])
  })

  it('hold different values of a generation, and draw differently after they were asked for', async () => {
    const drawn = await cloneTwice('const key = sessionKey(); tell({ key, ...draw() })')
    expect(drawn.map((values) => Object.keys(values))).toEqual([
      ['key', ...kinds],
      ['key', ...kinds],
    ])
    expect(equalKinds(drawn)).toEqual([])
  })

  it('draw on differently, beyond what is cached', async () => {
    const drawn = await cloneTwice(
      `guard(() => {})
      const uuids = Array.from({ length: 300 }, () => crypto.randomUUID())
      const ints = Array.from({ length: 2100 }, () => crypto.randomInt(2 ** 47))
      tell(Object.fromEntries([...uuids, ...ints].entries()))`,
    )
    expect(Object.keys(drawn[0] ?? {})).toHaveLength(2400)
    expect(equalKinds(drawn)).toEqual([])
  })

  it('draw the same again without the addon, which is what `missing` says', async () => {
    process.env.SNAPSAFE_NO_ADDON = '1'
    try {
      expect(equalKinds(await cloneTwice('tell(guard(draw))'))).toEqual(kinds)
    } finally {
      delete process.env.SNAPSAFE_NO_ADDON
    }
  })
})
