import { isJsonObject } from '../json.ts'
import type { IdlStruct, IdlType, InterfaceDescription } from './description.ts'
import { InvalidValueError } from './invalid-value-error.ts'

export interface CheckOptions {
  /** Where the value is, for the error: `parameters`. */
  readonly path: string
  /** 'ignore' is for replies: a newer service may say more than this side knows. */
  readonly unknownFields: 'refuse' | 'ignore'
}

/**
 * Returns if `value` is of `type`, whose names are those of `description`. A field may be missing, undefined or
 * null only where the type is nullable; an int is a safe integer; a float is finite. `object` and `any` are
 * opaque and not looked into. Nothing is copied or converted.
 *
 * @throws InvalidValueError that names the first mistake.
 */
export function checkValue(
  description: Pick<InterfaceDescription, 'types'>,
  type: IdlType,
  value: unknown,
  options: CheckOptions,
): void {
  const { types } = description
  check(type, value, options.path)

  function check(wanted: IdlType, value: unknown, path: string): void {
    switch (wanted.kind) {
      case 'bool':
        expectThat(typeof value === 'boolean', 'a bool', value, path)
        break
      case 'int':
        expectThat(Number.isSafeInteger(value), 'an int of at most 53 bits', value, path)
        break
      case 'float':
        expectThat(Number.isFinite(value), 'a finite number', value, path)
        break
      case 'string':
        expectThat(typeof value === 'string', 'a string', value, path)
        break
      case 'object':
        expectThat(isJsonObject(value), 'an object', value, path)
        break
      case 'any':
        expectThat(value !== undefined && value !== null, 'a value', value, path)
        break
      case 'enum': {
        const known = typeof value === 'string' && wanted.values.has(value)
        expectThat(known, `one of ${[...wanted.values.keys()].join(', ')}`, value, path)
        break
      }
      case 'nullable':
        if (value !== null && value !== undefined) check(wanted.type, value, path)
        break
      case 'array':
        expectThat(Array.isArray(value), 'an array', value, path)
        for (const [index, element] of value.entries()) check(wanted.element, element, `${path}[${index}]`)
        break
      case 'map':
        checkMap(wanted.value, value, path)
        break
      case 'struct':
        checkFields(wanted, value, path)
        break
      case 'named': {
        const named = types.get(wanted.name)
        if (named === undefined) throw new TypeError(`'${wanted.name}' is not a type of this interface`)
        check(named.type, value, path)
        break
      }
      default:
        wanted satisfies never
    }
  }

  function checkMap(wanted: IdlType, value: unknown, path: string): void {
    expectThat(isJsonObject(value), 'an object', value, path)
    for (const [key, element] of Object.entries(value)) {
      // A reader that copies entries by assignment would change a prototype with it.
      if (key === '__proto__') throw new InvalidValueError(path, "the key '__proto__' is not accepted")
      check(wanted, element, `${path}.${key}`)
    }
  }

  function checkFields(struct: IdlStruct, value: unknown, path: string): void {
    expectThat(isJsonObject(value), 'an object', value, path)
    if (options.unknownFields === 'refuse') {
      for (const [key, member] of Object.entries(value)) {
        if (struct.fields.has(key) || member === undefined) continue
        throw new InvalidValueError(`${path}.${key}`, 'no such field; see the interface description')
      }
    }
    for (const { name, type } of struct.fields.values()) {
      // Own members only: `constructor` is a legal field name and every object inherits one.
      check(type, Object.hasOwn(value, name) ? value[name] : undefined, `${path}.${name}`)
    }
  }
}

function expectThat(holds: boolean, expected: string, value: unknown, path: string): asserts holds {
  if (!holds) throw new InvalidValueError(path, `expected ${expected}, got ${nameOf(value)}`)
}

/** The kind of a value, never the value: a refused parameter may be a secret or a megabyte. */
function nameOf(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value))
    return 'a larger one'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
