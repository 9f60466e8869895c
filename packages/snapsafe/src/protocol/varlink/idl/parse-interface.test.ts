import { describe, expect, test } from 'vitest'
import { IdlSyntaxError } from './idl-syntax-error.ts'
import { parseInterface } from './parse-interface.ts'

const text = `# SPDX-License-Identifier: none

# What it is for.
#
#   Second paragraph.
interface org.example-1.Thing

# A colour.
type Colour (
  # like blood
  red,
  green)

type Point(x: float, y: float) # about Draw
# and more about it
method Draw(
  # where
  at: ?[]Point, colour: Colour, tags: [string]?int,
  inline: (a: bool, mode: (fast, slow)), raw: object, extra: any
) -> ()
# a heading, not documentation

method Follow() -> (type: string)

# Tells.
# [Requires 'more' flag]
method Watch() -> (n: int)
error Nope (why: string)
`

describe('a valid text', () => {
  const parsed = parseInterface(text)

  test('keeps its name, its members in order, and itself', () => {
    expect(parsed.name).toBe('org.example-1.Thing')
    expect(parsed.text).toBe(text)
    expect([...parsed.types.keys()]).toEqual(['Colour', 'Point'])
    expect([...parsed.methods.keys()]).toEqual(['Draw', 'Follow', 'Watch'])
    expect([...parsed.errors.keys()]).toEqual(['Nope'])
  })

  test('gives a comment to the member right below it, and none across a blank line', () => {
    expect(parsed.docs).toBe('What it is for.\n\n  Second paragraph.')
    expect(parsed.types.get('Colour')?.docs).toBe('A colour.')
    expect(parsed.methods.get('Draw')?.docs).toBe('about Draw\nand more about it')
    expect(parsed.methods.get('Follow')?.docs).toBe('')
    expect(parsed.methods.get('Draw')?.parameters.fields.get('at')?.docs).toBe('where')
    expect(parsed.types.get('Colour')?.type).toEqual({
      kind: 'enum',
      values: new Map([
        ['red', 'like blood'],
        ['green', ''],
      ]),
    })
  })

  test('has all the types of the language', () => {
    const fields = parsed.methods.get('Draw')?.parameters.fields
    const typeOf = (name: string) => fields?.get(name)?.type
    const array = { kind: 'array', element: { kind: 'named', name: 'Point' } }
    expect(typeOf('at')).toEqual({ kind: 'nullable', type: array })
    expect(typeOf('tags')).toEqual({ kind: 'map', value: { kind: 'nullable', type: { kind: 'int' } } })
    expect(typeOf('raw')).toEqual({ kind: 'object' })
    expect(typeOf('extra')).toEqual({ kind: 'any' })
    expect(typeOf('inline')).toMatchObject({ kind: 'struct' })
  })

  test('says which methods need more', () => {
    expect(parsed.methods.get('Watch')?.more).toBe('required')
    expect(parsed.methods.get('Draw')?.more).toBe('unspecified')
  })
})

test.each([
  ['', 1, 1, "expected 'interface', found the end of the text"],
  ['interface nodots', 1, 11, "expected an interface name such as org.example.Name, found 'nodots'"],
  ['interface a.b\nmethod f() -> ()', 2, 8, "expected a name that starts with a capital letter, found 'f'"],
  ['interface a.b\nmethodF() -> ()', 2, 1, "expected 'type', 'method' or 'error', found 'methodF'"],
  ['interface a.b\nmethod F() - ()', 2, 12, "expected '->', found '-'"],
  ['interface a.b\nmethod F(a: ??int) -> ()', 2, 13, "'??' says no more than '?'; write it once"],
  ['interface a.b\nmethod F(a: Foo) -> ()', 2, 13, "no type 'Foo' is declared here, and it is not built in"],
  ['interface a.b\nmethod F(a: [int]) -> ()', 2, 13, "expected a type, found '['"],
  ['interface a.b\nmethod F(a: int,) -> ()', 2, 17, "expected a name, found ')'"],
  ['interface a.b\nmethod F(a: int, b) -> ()', 2, 19, "expected ':', found ')'"],
  ['interface a.b\nmethod F(a, b) -> ()', 2, 9, 'expected fields with types, found an enum'],
  ['interface a.b\ntype T(a, b: int)', 2, 12, "expected ')', found ':'"],
  ['interface a.b\ntype T(a, a)', 2, 11, "'a' is there twice"],
  ['interface a.b\ntype T()\nerror T()', 3, 7, "'T' is there twice"],
  ['interface a.b\ntype T(_a: int)', 2, 8, "expected a name, found '_a'"],
])('%j is refused at its line and column', (bad, line, column, problem) => {
  const message = `interface text, line ${line}, column ${column}: ${problem}`
  expect(() => parseInterface(bad)).toThrow(expect.objectContaining({ message, line, column }))
  expect(() => parseInterface(bad)).toThrow(IdlSyntaxError)
})
