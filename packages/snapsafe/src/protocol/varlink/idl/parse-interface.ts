import type { IdlError, IdlMethod, IdlTypeMember, InterfaceDescription } from './description.ts'
import { parseStruct, parseStructOrEnum, type TypeReference } from './parse-type.ts'
import { Scanner } from './scanner.ts'

const keywordPattern = /(?:type|method|error)\b/y
const interfaceNamePattern = /[A-Za-z](?:-*[A-Za-z0-9])*(?:\.[A-Za-z0-9](?:-*[A-Za-z0-9])*)+/y
const memberNamePattern = /[A-Z][A-Za-z0-9]*/y

/**
 * Parses the text of one interface (https://varlink.org/Interface-Definition). A comment belongs to the member,
 * field or enum value right below it.
 *
 * @throws IdlSyntaxError with the line and column of the first mistake; a name that is used but not declared is
 * a mistake too.
 */
export function parseInterface(text: string): InterfaceDescription {
  const scanner = new Scanner(text)
  const references: TypeReference[] = []
  const types = new Map<string, IdlTypeMember>()
  const methods = new Map<string, IdlMethod>()
  const errors = new Map<string, IdlError>()

  const interfaceDocs = scanner.takeDocs()
  scanner.take(/interface\b/y, "'interface'")
  const interfaceName = scanner.take(interfaceNamePattern, 'an interface name such as org.example.Name')
  // The docs are taken before the question whether the text ends here, because that question skips comments.
  for (let docs = scanner.takeDocs(); !scanner.atEnd(); docs = scanner.takeDocs()) {
    const keyword = scanner.take(keywordPattern, "'type', 'method' or 'error'")
    const offset = scanner.position()
    const name = scanner.take(memberNamePattern, 'a name that starts with a capital letter')
    if (types.has(name) || methods.has(name) || errors.has(name))
      scanner.fail(`'${name}' is there twice`, offset)
    if (keyword === 'type') {
      types.set(name, { name, docs, type: parseStructOrEnum(scanner, references) })
    } else if (keyword === 'error') {
      errors.set(name, { name, docs, parameters: parseStruct(scanner, references) })
    } else {
      const parameters = parseStruct(scanner, references)
      scanner.expect('->')
      const reply = parseStruct(scanner, references)
      methods.set(name, { name, docs, parameters, reply, more: moreFromDocs(docs) })
    }
  }
  for (const { name, offset } of references) {
    if (!types.has(name)) scanner.fail(`no type '${name}' is declared here, and it is not built in`, offset)
  }
  return { name: interfaceName, docs: interfaceDocs, text, types, methods, errors }
}

/** The language has no word for it; systemd's services and varlinkctl write it into the comment. */
function moreFromDocs(docs: string): IdlMethod['more'] {
  if (docs.includes("[Requires 'more' flag]")) return 'required'
  return docs.includes("[Supports 'more' flag]") ? 'supported' : 'unspecified'
}
