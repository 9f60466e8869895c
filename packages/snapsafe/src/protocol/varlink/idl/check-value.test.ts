import fc from 'fast-check'
import { expect, test } from 'vitest'
import { checkValue } from './check-value.ts'
import { InvalidValueError } from './invalid-value-error.ts'
import { parseInterface } from './parse-interface.ts'

const description = parseInterface(`interface a.b
type Mode (fast, slow)
type Node (value: int, next: ?Node)
type All (
  b: ?bool, i: ?int, f: ?float, s: ?string, o: ?object, x: ?any, mode: ?Mode, list: ?[]int, map: ?[string]bool,
  node: ?Node, constructor: ?string
)
type Strict (name: string)
`)

function check(typeName: string, value: unknown, unknownFields: 'refuse' | 'ignore' = 'refuse'): void {
  checkValue(description, { kind: 'named', name: typeName }, value, { path: 'parameters', unknownFields })
}

test('accepts values of their types, and null, undefined or nothing where the type says so', () => {
  check('All', {})
  check('All', { b: null, i: undefined, node: { value: 1, next: { value: 2 } } })
  check('All', {
    b: true,
    i: -(2 ** 53) + 1,
    f: 1,
    s: '',
    o: {},
    x: [],
    mode: 'slow',
    list: [1],
    map: { k: true },
  })
})

test.each([
  ['All', { b: 0 }, 'parameters.b: expected a bool, got a number'],
  ['All', { i: 2 ** 53 }, 'parameters.i: expected an int of at most 53 bits, got a larger one'],
  ['All', { i: 1.5 }, 'parameters.i: expected an int'],
  ['All', { i: '1' }, 'parameters.i: expected an int of at most 53 bits, got a string'],
  ['All', { f: Number.POSITIVE_INFINITY }, 'parameters.f: expected a finite number'],
  ['All', { s: {} }, 'parameters.s: expected a string, got an object'],
  ['All', { o: [] }, 'parameters.o: expected an object, got an array'],
  ['All', { mode: 'medium' }, 'parameters.mode: expected one of fast, slow, got a string'],
  ['All', { mode: 'toString' }, 'parameters.mode: expected one of'],
  ['All', { list: [1, null] }, 'parameters.list[1]: expected an int of at most 53 bits, got null'],
  ['All', { list: { 0: 1 } }, 'parameters.list: expected an array'],
  ['All', { map: { k: 1 } }, 'parameters.map.k: expected a bool'],
  ['All', { node: { value: 1, next: { value: 'x' } } }, 'parameters.node.next.value: expected an int'],
  ['All', { typo: 1 }, 'parameters.typo: no such field'],
  ['All', null, 'parameters: expected an object, got null'],
  ['All', [], 'parameters: expected an object, got an array'],
  ['All', JSON.parse('{"__proto__": {"b": true}}'), 'parameters.__proto__: no such field'],
  ['All', JSON.parse('{"map": {"__proto__": true}}'), "parameters.map: the key '__proto__' is not accepted"],
  ['Strict', {}, 'parameters.name: expected a string, got nothing'],
  ['Strict', { name: null }, 'parameters.name: expected a string, got null'],
  ['Strict', Object.create({ name: 'inherited' }), 'parameters.name: expected a string, got nothing'],
])('as %s, %j is refused with its path', (typeName, value, message) => {
  expect(() => check(typeName, value)).toThrow(InvalidValueError)
  expect(() => check(typeName, value)).toThrow(message)
})

test('what an object inherits is no field of it', () => {
  check('All', {})
  expect(() => check('All', { constructor: 1 })).toThrow('parameters.constructor')
})

test('unknown fields are ignored where asked, also nested', () => {
  check('Strict', { name: 'x', more: 1 }, 'ignore')
  check('All', { node: { value: 1, extra: {} } }, 'ignore')
})

test('a message says what kind a value is and never the value', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 8, unit: 'binary' }), (secret) => {
      try {
        check('All', { i: secret })
      } catch (error) {
        return error instanceof InvalidValueError && !error.message.includes(secret)
      }
      return false
    }),
  )
})

test('any JSON value is either accepted or refused with an InvalidValueError', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      try {
        check('All', value)
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidValueError)
      }
    }),
  )
})
