import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { typeScriptOf } from './generate-interface.ts'

const folder = mkdtempSync(join(tmpdir(), 'snapsafe-generate-'))
afterAll(() => rmSync(folder, { recursive: true }))

const idl = `# Things. */ \`\${x}\` \\n
interface org.example.Test
type Mode (fast, slow)
type Item (
  # its name
  name: string, mode: ?Mode, tags: [string][]int, how: ?[](a, b), inside: (raw: object, extra: any)
)
# Takes it.
method Take(item: Item) -> ()
error Nope (why: string)
`

test('types, methods and errors become TypeScript, docs become comments', () => {
  const source = typeScriptOf(idl)
  expect(source).toContain("export type Mode = 'fast' | 'slow'")
  expect(source).toContain('/** its name */\nname: string\n')
  expect(source).toContain('mode?: Mode | null | undefined\n')
  expect(source).toContain('tags: { readonly [key: string]: readonly (number)[] }\n')
  expect(source).toContain("how?: readonly ('a' | 'b')[] | null | undefined\n")
  expect(source).toContain('inside: {\nraw: { [key: string]: unknown }\nextra: unknown\n}')
  expect(source).toContain('/** Takes it. */\nexport type TakeParameters = {\nitem: Item\n}')
  expect(source).toContain('/** Takes it. */\nTake: { parameters: TakeParameters; reply: TakeReply }')
  expect(source).toContain("'org.example.Test.Nope': NopeErrorParameters")
})

test('the text in the module is the text of the interface, whatever is in it', async () => {
  const path = join(folder, 'text.ts')
  writeFileSync(path, typeScriptOf(idl))
  const module: { interfaceText: string } = await import(path)
  expect(module.interfaceText).toBe(idl)
})

test('a type that would hide a generated one is refused', () => {
  const clash = 'interface a.b\ntype TakeReply ()\nmethod Take() -> ()\n'
  expect(() => typeScriptOf(clash)).toThrow("'TakeReply' is taken")
})

test('--check accepts what was generated and exits 1 for anything else', () => {
  const [text, output] = [join(folder, 'a.varlink'), join(folder, 'a.ts')]
  writeFileSync(text, idl)
  const run = (...args: string[]) => {
    const tool = fileURLToPath(new URL('generate-interface.ts', import.meta.url))
    return spawnSync(process.execPath, ['--import', 'tsx', tool, ...args, text, output], {
      encoding: 'utf8',
      timeout: 20_000,
    })
  }
  expect(run('--check')).toMatchObject({ status: 1, stderr: expect.stringContaining('npm run generate') })
  expect(run()).toMatchObject({ status: 0, stderr: '' })
  expect(run('--check')).toMatchObject({ status: 0 })
  writeFileSync(output, readFileSync(output, 'utf8').replace("'slow'", "'slower'"))
  expect(run('--check')).toMatchObject({ status: 1 })
}, 60_000)
