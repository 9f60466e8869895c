import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** One package source of the machine: where, which suites, which components. */
export interface AptSource {
  uri: string
  suites: readonly string[]
  components: readonly string[]
}

/** The machine has no Debian mirror configured, and none was named. */
export class NoDebianMirrorError extends Error {
  readonly code = 'ERR_SNAPSAFE_VM_NO_MIRROR'
  override readonly name = 'NoDebianMirrorError'
}

/**
 * The Debian mirror to fetch from: `SNAPSAFE_VM_DEBIAN_MIRROR`, or the main archive that this machine's own apt uses.
 * Rejects with `NoDebianMirrorError` on a machine with neither.
 */
export async function debianMirror(
  etcApt = '/etc/apt',
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  if (env.SNAPSAFE_VM_DEBIAN_MIRROR) return env.SNAPSAFE_VM_DEBIAN_MIRROR
  const sources = await readAptSources(etcApt)
  const mirror = chooseDebianMirror(sources)
  if (mirror) return mirror
  throw new NoDebianMirrorError(
    `no Debian archive among the package sources in ${etcApt}: name a mirror in SNAPSAFE_VM_DEBIAN_MIRROR`,
  )
}

/** Reads all sources of a machine, one-line (`.list`) and deb822 (`.sources`) style. Missing files are no error. */
export async function readAptSources(etcApt: string): Promise<AptSource[]> {
  const parts = join(etcApt, 'sources.list.d')
  const names = await readdir(parts).catch(() => [])
  const paths = [join(etcApt, 'sources.list'), ...names.sort().map((name) => join(parts, name))]
  const found = await Promise.all(
    paths.map(async (path) => {
      const text = await readFile(path, 'utf8').catch(() => '')
      if (path.endsWith('.sources')) return parseDeb822Sources(text)
      return path.endsWith('.list') ? parseListSources(text) : []
    }),
  )
  return found.flat()
}

/**
 * The archive among the sources that has Debian's main suites. Security and backports-only archives do not hold what
 * the framework fetches; a path that ends in `/debian` is how Debian's mirrors are laid out, and not Ubuntu's.
 */
export function chooseDebianMirror(sources: readonly AptSource[]): string | undefined {
  const candidates = sources.filter(
    ({ uri, components }) => /\/debian\/?$/.test(uri) && components.includes('main'),
  )
  const main = candidates.find(({ suites }) =>
    suites.some((suite) => !suite.includes('-') && !suite.includes('/')),
  )
  return (main ?? candidates[0])?.uri
}

/** One-line style, sources.list(5): `deb [ option=value … ] uri suite component…`. */
export function parseListSources(text: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[[^\]]*\]\s*)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line)
    if (!match) return []
    const [, uri = '', suite = '', components = ''] = match
    return [{ uri, suites: [suite], components: words(components) }]
  })
}

/** deb822 style, sources.list(5): stanzas of `Field: value`, continued on indented lines. */
export function parseDeb822Sources(text: string): AptSource[] {
  const stanzas = text
    .replace(/^#.*\n?/gm, '')
    .split(/\n\s*\n/)
    .map(parseStanza)
  return stanzas.flatMap((fields) => {
    if (fields.get('enabled')?.toLowerCase() === 'no' || !words(fields.get('types')).includes('deb'))
      return []
    const suites = words(fields.get('suites'))
    const components = words(fields.get('components'))
    return words(fields.get('uris')).map((uri) => ({ uri, suites, components }))
  })
}

function parseStanza(stanza: string): Map<string, string> {
  const fields = new Map<string, string>()
  for (const [, name = '', value = ''] of stanza.matchAll(/^([A-Za-z0-9-]+):((?:.*)(?:\n[ \t].*)*)/gm)) {
    fields.set(name.toLowerCase(), value.trim())
  }
  return fields
}

function words(text: string | undefined): string[] {
  return (text ?? '').split(/\s+/).filter((word) => word !== '')
}
