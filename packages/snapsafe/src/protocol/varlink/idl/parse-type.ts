import type { IdlEnum, IdlField, IdlStruct, IdlType } from './description.ts'
import type { Scanner } from './scanner.ts'

const fieldNamePattern = /[A-Za-z](?:_?[A-Za-z0-9])*/y
const typeWordPattern = /[A-Za-z][A-Za-z0-9]*/y
const builtinKinds = ['bool', 'int', 'float', 'string', 'object', 'any'] as const

/** A use of a named type; whether the name exists is known only at the end of the text. */
export interface TypeReference {
  readonly name: string
  readonly offset: number
}

/** Reads one type and adds the names it uses to `references`. */
function parseType(scanner: Scanner, references: TypeReference[]): IdlType {
  const offset = scanner.position()
  if (scanner.accept('?')) {
    const type = parseType(scanner, references)
    if (type.kind === 'nullable') scanner.fail("'??' says no more than '?'; write it once", offset)
    return { kind: 'nullable', type }
  }
  if (scanner.accept('[]')) return { kind: 'array', element: parseType(scanner, references) }
  if (scanner.accept('[string]')) return { kind: 'map', value: parseType(scanner, references) }
  if (scanner.accept('(')) return parseBody(scanner, references)
  const word = scanner.take(typeWordPattern, 'a type')
  const builtin = builtinKinds.find((kind) => kind === word)
  if (builtin !== undefined) return { kind: builtin }
  references.push({ name: word, offset })
  return { kind: 'named', name: word }
}

/** Reads `(…)` where only fields make sense: parameters, replies, errors. */
export function parseStruct(scanner: Scanner, references: TypeReference[]): IdlStruct {
  const offset = scanner.position()
  const type = parseStructOrEnum(scanner, references)
  return type.kind === 'struct' ? type : scanner.fail('expected fields with types, found an enum', offset)
}

/** Reads `(…)`. Empty parentheses are a struct without fields. */
export function parseStructOrEnum(scanner: Scanner, references: TypeReference[]): IdlStruct | IdlEnum {
  scanner.expect('(')
  return parseBody(scanner, references)
}

function parseBody(scanner: Scanner, references: TypeReference[]): IdlStruct | IdlEnum {
  const fields = new Map<string, IdlField>()
  const values = new Map<string, string>()
  // Docs are taken first, because looking for what comes next skips comments.
  let docs = scanner.takeDocs()
  if (scanner.accept(')')) return { kind: 'struct', fields }
  for (;;) {
    const offset = scanner.position()
    const name = scanner.take(fieldNamePattern, 'a name')
    if (fields.has(name) || values.has(name)) scanner.fail(`'${name}' is there twice`, offset)
    if (values.size === 0 && (fields.size > 0 || scanner.accept(':'))) {
      if (fields.size > 0) scanner.expect(':')
      fields.set(name, { name, docs, type: parseType(scanner, references) })
    } else {
      values.set(name, docs)
    }
    if (!scanner.accept(',')) break
    docs = scanner.takeDocs()
  }
  scanner.expect(')')
  return values.size > 0 ? { kind: 'enum', values } : { kind: 'struct', fields }
}
