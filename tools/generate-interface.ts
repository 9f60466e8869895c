/**
 * Writes the text of idl/io.snapsafe.Generation.varlink and the TypeScript types of what it declares to
 * packages/snapsafe/src/protocol/interface.generated.ts. With `--check` it writes nothing and exits 1 if that file
 * is not what it would write. Another text and file may be named: `generate-interface.ts [--check] [IDL OUTPUT]`.
 */

import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { IdlStruct, IdlType } from '../packages/snapsafe/src/protocol/varlink/idl/description.ts'
import { parseInterface } from '../packages/snapsafe/src/protocol/varlink/idl/parse-interface.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const idlPath = join(root, 'idl/io.snapsafe.Generation.varlink')
const outputPath = join(root, 'packages/snapsafe/src/protocol/interface.generated.ts')
const biomePath = join(root, 'node_modules/@biomejs/biome/bin/biome')

/** The source of the generated module, not formatted. Throws where two generated names would collide. */
export function typeScriptOf(text: string): string {
  const { name, docs, types, methods, errors } = parseInterface(text)
  const names = new Set(['interfaceName', 'interfaceText', 'Methods', 'Errors'])
  const declare = (name: string, docs: string, type: IdlStruct | IdlType) => {
    if (names.has(name))
      throw new Error(`the generated name '${name}' is taken; rename a member of the interface`)
    names.add(name)
    return `${comment(docs)}export type ${name} = ${typeOf(type)}\n`
  }
  const parts = [
    `// Generated from idl/${name}.varlink by tools/generate-interface.ts; edit the former and run the latter.\n`,
    `export const interfaceName = '${name}'\n`,
    `/** The interface text, as GetInterfaceDescription answers it. */`,
    `export const interfaceText = \`${text.replace(/[\\`]|\$\{/g, '\\$&')}\`\n`,
  ]
  for (const { name, docs, type } of types.values()) parts.push(declare(name, docs, type))
  for (const { name, docs, parameters, reply } of methods.values()) {
    parts.push(declare(`${name}Parameters`, docs, parameters), declare(`${name}Reply`, '', reply))
  }
  for (const { name, docs, parameters } of errors.values()) {
    parts.push(declare(`${name}ErrorParameters`, docs, parameters))
  }
  const methodMap = [...methods.values()].map(
    ({ name, docs }) => `${comment(docs)}${name}: { parameters: ${name}Parameters; reply: ${name}Reply }`,
  )
  const errorMap = [...errors.values()].map(
    (error) => `${comment(error.docs)}'${name}.${error.name}': ${error.name}ErrorParameters`,
  )
  parts.push(`${comment(docs)}export type Methods = {\n${methodMap.join('\n')}\n}\n`)
  parts.push(`/** Parameters of error replies, by the error's full name. */`)
  parts.push(`export type Errors = {\n${errorMap.join('\n')}\n}`)
  return `${parts.join('\n')}\n`
}

function typeOf(type: IdlType): string {
  switch (type.kind) {
    case 'bool':
      return 'boolean'
    case 'int':
    case 'float':
      return 'number'
    case 'string':
      return 'string'
    case 'object':
      return '{ [key: string]: unknown }'
    case 'any':
      return 'unknown'
    case 'array':
      return `readonly (${typeOf(type.element)})[]`
    case 'map':
      return `{ readonly [key: string]: ${typeOf(type.value)} }`
    case 'nullable':
      return `${typeOf(type.type)} | null`
    case 'named':
      return type.name
    case 'enum':
      return [...type.values.keys()].map((value) => `'${value}'`).join(' | ')
    case 'struct': {
      if (type.fields.size === 0) return '{ [key: string]: never }'
      const fields = [...type.fields.values()].map(({ name, docs, type }) => {
        // A field that may be null may as well be missing, and JSON drops undefined.
        const declared = type.kind === 'nullable' ? `?: ${typeOf(type)} | undefined` : `: ${typeOf(type)}`
        return `${comment(docs)}${name}${declared}`
      })
      return `{\n${fields.join('\n')}\n}`
    }
    default:
      return type satisfies never
  }
}

function comment(docs: string): string {
  if (docs === '') return ''
  const lines = docs.replaceAll('*/', '*\\/').split('\n')
  if (lines.length === 1) return `/** ${lines[0]} */\n`
  return `/**\n${lines.map((line) => ` * ${line}`.trimEnd()).join('\n')}\n */\n`
}

/** As biome writes it with the settings of this repository. */
function format(source: string): string {
  const args = [
    biomePath,
    'format',
    '--stdin-file-path=packages/snapsafe/src/protocol/interface.generated.ts',
  ]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: root,
    input: source,
    encoding: 'utf8',
    timeout: 60_000,
  })
  if (status !== 0) throw new Error(`biome cannot format the generated source; see its message:\n${stderr}`)
  return stdout
}

function main(args: readonly string[]): number {
  const [idl = idlPath, output = outputPath] = args.filter((arg) => arg !== '--check')
  const generated = format(typeScriptOf(readFileSync(idl, 'utf8')))
  if (!args.includes('--check')) {
    writeFileSync(output, generated)
    return 0
  }
  let current = ''
  try {
    current = readFileSync(output, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  if (current === generated) return 0
  const file = relative(root, output)
  console.error(
    `${file} is not what ${relative(root, idl)} says; run 'npm run generate' and commit the result`,
  )
  return 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main(process.argv.slice(2))
