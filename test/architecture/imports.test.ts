import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '../..')

/** A part of the source, what it may import of the project (parts and packages), and why no more than that. */
interface Part {
  readonly part: string
  readonly may: readonly string[]
  readonly why: string
}

/** The longest matching part is a file's own. ARCHITECTURE.md shows this table; the two must agree. */
const parts: readonly Part[] = [
  {
    part: 'packages/snapsafe/src/native.ts',
    may: [],
    why: 'the door to the addon knows nobody, so that everything can stand on it',
  },
  {
    part: 'packages/snapsafe/src/protocol/varlink',
    may: [],
    why: 'Varlink is a protocol like HTTP: it knows nothing of generations',
  },
  {
    part: 'packages/snapsafe/src/protocol',
    may: ['packages/snapsafe/src/native.ts', 'packages/snapsafe/src/protocol/varlink'],
    why: 'the library, the guest and the host build on the protocol, so it can build on none of them',
  },
  {
    part: 'packages/snapsafe/src',
    may: [
      'packages/snapsafe/src/native.ts',
      'packages/snapsafe/src/protocol',
      'packages/snapsafe/src/protocol/varlink',
    ],
    why: 'the library ends up in other people’s processes: it brings nothing with it',
  },
  {
    part: 'packages/guest/src/duration.ts',
    may: [],
    why: 'a form of text that the daemon and the command share',
  },
  {
    part: 'packages/guest/src/version.ts',
    may: [],
    why: 'a number that the daemon and the command share',
  },
  {
    part: 'packages/guest/src/orchestrator',
    may: ['snapsafe/protocol'],
    why: 'the state machine does nothing and asks nobody, so that every order of events can be tried on it',
  },
  {
    part: 'packages/guest/src/sources',
    may: ['snapsafe/protocol', 'snapsafe/native'],
    why: 'a source gives evidence; what follows from it is decided elsewhere',
  },
  {
    part: 'packages/guest/src/system',
    may: ['snapsafe/protocol', 'snapsafe/native'],
    why: 'a door to the operating system has no opinion on when to go through it',
  },
  {
    part: 'packages/guest/src/daemon',
    may: [
      'snapsafe/protocol',
      'snapsafe/native',
      'smol-toml',
      'zod',
      'commander',
      'packages/guest/src/duration.ts',
      'packages/guest/src/version.ts',
      'packages/guest/src/orchestrator',
      'packages/guest/src/sources',
      'packages/guest/src/system',
    ],
    why: 'the daemon composes the parts; it is the only one that knows them all',
  },
  {
    part: 'packages/guest/src/cli',
    may: [
      'snapsafe',
      'snapsafe/protocol',
      'snapsafe/native',
      'commander',
      'packages/guest/src/duration.ts',
      'packages/guest/src/version.ts',
    ],
    why: 'the command speaks with the daemon through the socket alone, like everybody else',
  },
  {
    part: 'packages/host/src',
    may: ['snapsafe/protocol'],
    why: 'the host knows the guest by its protocol',
  },
]

interface Import {
  readonly file: string
  readonly line: number
  readonly specifier: string
  /** A part or a package; undefined for what is Node's or of the same part. */
  readonly target: string | undefined
}

function sourceFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((name) => name.endsWith('.ts') && !/\.test(-d)?\.ts$/.test(name))
    .filter((name) => statSync(join(root, name)).isFile())
}

function partOf(file: string): Part | undefined {
  return parts
    .filter(({ part }) => file === part || file.startsWith(`${part}/`))
    .sort((a, b) => b.part.length - a.part.length)[0]
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8')
  // Static imports and re-exports, whose clause has names, braces, commas and stars only; and imports as expressions.
  const found = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\s+(?:[\w$*\s{},]+?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/g,
  )
  return [...found].map((match) => {
    const specifier = match[1] ?? match[2] ?? ''
    const line = text.slice(0, match.index).split('\n').length + (match[0].startsWith('\n') ? 1 : 0)
    return { file, line, specifier, target: targetOf(file, specifier) }
  })
}

function targetOf(file: string, specifier: string): string | undefined {
  if (specifier.startsWith('node:')) return undefined
  if (!specifier.startsWith('.')) return specifier
  const path = relative(root, resolve(root, dirname(file), specifier))
  const part = partOf(path)
  return part === partOf(file) ? undefined : (part?.part ?? path)
}

const files = ['snapsafe', 'guest', 'host'].flatMap((name) => sourceFiles(`packages/${name}/src`))

describe('the architecture', () => {
  it('has a place in the table for every source file', () => {
    expect(files.filter((file) => !partOf(file))).toEqual([])
  })

  it('has a folder or a file for every row of the table', () => {
    expect(parts.filter(({ part }) => !existsSync(join(root, part))).map(({ part }) => part)).toEqual([])
  })

  it.each(parts.map((part) => [part.part, part] as const))('lets %s import only what it may', (_, part) => {
    const wrong = files
      .filter((file) => partOf(file) === part)
      .flatMap(importsOf)
      .filter(({ target }) => target !== undefined && !part.may.includes(target))
      .map(({ file, line, specifier }) => `${file}:${line} imports ${specifier}; but ${part.why}`)
    expect(wrong).toEqual([])
  })

  it('imports types as types and files with their ending', () => {
    const wrong = files
      .flatMap(importsOf)
      .filter(({ specifier }) => specifier.startsWith('.') && !/\.(ts|json)$/.test(specifier))
    expect(wrong.map(({ file, line }) => `${file}:${line}`)).toEqual([])
  })

  it('keeps the library free of dependencies', () => {
    const manifest = JSON.parse(readFileSync(join(root, 'packages/snapsafe/package.json'), 'utf8'))
    expect(manifest.dependencies ?? {}).toEqual({})
    expect(manifest.optionalDependencies ?? {}).toEqual({})
    expect(manifest.peerDependencies ?? {}).toEqual({})
  })

  it('gives all packages one version', () => {
    const versions = ['snapsafe', 'guest', 'host'].map(
      (name) => JSON.parse(readFileSync(join(root, `packages/${name}/package.json`), 'utf8')).version,
    )
    expect(new Set(versions).size).toBe(1)
  })
})
