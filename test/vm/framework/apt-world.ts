import { mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DebianSuite } from './debian-suite.ts'
import { CommandFailedError, runCommand } from './run-command.ts'

/** Package lists that are younger are used again, so that fetching several sets costs one update. */
const listsMaxAgeMs = 3_600_000
const downloadTimeoutMs = 20 * 60_000
const debianKeyring = '/usr/share/keyrings/debian-archive-keyring.gpg'
const architecture = 'amd64'

/** The machine's Debian keyring cannot vouch for the suite. */
export class SuiteKeyError extends Error {
  readonly code = 'ERR_SNAPSAFE_VM_SUITE_KEY'
  override readonly name = 'SuiteKeyError'
}

/**
 * An apt that has nothing to do with the machine's own: its lists, state and cache lie in `folder`, its dpkg status is
 * empty, so that a closure is complete, and the hooks of the machine's configuration are off. What it takes over from the
 * machine is the configuration for reaching the mirror (proxies).
 */
export class AptWorld {
  readonly suite: DebianSuite
  readonly #folder: string
  readonly #configuration: string

  private constructor(suite: DebianSuite, folder: string) {
    this.suite = suite
    this.#folder = folder
    this.#configuration = join(folder, 'apt.conf')
  }

  /** Prepares `folder` for the suite of this mirror. Callers see to it that one process at a time works in a folder. */
  static async create(suite: DebianSuite, mirror: string, folder: string): Promise<AptWorld> {
    const world = new AptWorld(suite, folder)
    await mkdir(join(folder, 'lists', 'partial'), { recursive: true })
    await mkdir(join(folder, 'cache', 'archives', 'partial'), { recursive: true })
    await mkdir(join(folder, 'none'), { recursive: true })
    await writeFile(join(folder, 'status'), '')
    await writeFile(join(folder, 'sources.list'), sourcesList(suite, mirror))
    await writeFile(world.#configuration, aptConfiguration(folder))
    return world
  }

  /** Fetches the package lists unless there are fresh ones. Rejects with `SuiteKeyError` if they cannot be verified. */
  async update(signal?: AbortSignal): Promise<void> {
    const stamp = join(this.#folder, 'updated')
    const age = await stat(stamp).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => Number.POSITIVE_INFINITY,
    )
    if (age < listsMaxAgeMs) return
    try {
      await runCommand('apt-get', this.#arguments('update'), { signal })
    } catch (error) {
      if (
        !(error instanceof CommandFailedError) ||
        !/NO_PUBKEY|KEYEXPIRED|EXPKEYSIG|Missing key/.test(error.stderr)
      )
        throw error
      const what = `cannot verify the suite ${this.suite.name}: ${debianKeyring} does not know its key`
      throw new SuiteKeyError(`${what}; install a newer debian-archive-keyring`, { cause: error })
    }
    await writeFile(stamp, '')
  }

  /** Downloads the packages and everything they depend on into `folder` (existing) as `.deb` files. */
  async downloadClosure(packages: readonly string[], folder: string, signal?: AbortSignal): Promise<void> {
    await mkdir(join(folder, 'partial'), { recursive: true })
    await runCommand('apt-get', this.#arguments(...closureArguments(this.suite, packages, folder)), {
      timeoutMs: downloadTimeoutMs,
      signal,
    })
  }

  /** Downloads the packages alone into `folder` (existing). */
  async download(packages: readonly string[], folder: string, signal?: AbortSignal): Promise<void> {
    const args = this.#arguments('download', ...targetArguments(this.suite), ...packages)
    await runCommand('apt-get', args, { cwd: folder, timeoutMs: downloadTimeoutMs, signal })
  }

  /** What a package depends on, first alternatives only, without versions. */
  async dependencies(name: string, signal?: AbortSignal): Promise<string[]> {
    const args = this.#arguments('show', '--no-all-versions', ...targetArguments(this.suite), name)
    return parseDependencies((await runCommand('apt-cache', args, { signal })).toString('utf8'))
  }

  #arguments(...args: string[]): string[] {
    return ['-q', '-c', this.#configuration, ...args]
  }
}

/** What `sources.list` says. */
export function sourcesList(suite: DebianSuite, mirror: string): string {
  return suite.suites.map((name) => `deb [signed-by=${debianKeyring}] ${mirror} ${name} main\n`).join('')
}

/** The arguments of `apt-get` that download a closure into `folder`. */
export function closureArguments(suite: DebianSuite, packages: readonly string[], folder: string): string[] {
  const archives = `Dir::Cache::archives=${folder}`
  const flags = ['--yes', '--download-only', '--no-install-recommends']
  return ['install', ...flags, '-o', archives, ...targetArguments(suite), ...packages]
}

/** Reads `Depends:` of one `apt-cache show` stanza: the name of the first alternative of each entry. */
export function parseDependencies(stanza: string): string[] {
  const depends = /^Depends: (.*)$/m.exec(stanza)?.[1] ?? ''
  return depends.split(',').flatMap((entry) => /^\s*([^\s|(:]+)/.exec(entry)?.[1] ?? [])
}

function targetArguments(suite: DebianSuite): string[] {
  return suite.target === undefined ? [] : ['-t', suite.target]
}

function aptConfiguration(folder: string): string {
  // Hooks of the machine act on the machine: Docker's images, for instance, empty /var/cache/apt after an update.
  const hooks = ['APT::Update::Pre-Invoke', 'APT::Update::Post-Invoke', 'APT::Update::Post-Invoke-Success']
  const dpkgHooks = ['DPkg::Pre-Invoke', 'DPkg::Post-Invoke', 'DPkg::Pre-Install-Pkgs']
  const settings: Record<string, string> = {
    'Dir::Etc::sourcelist': `${folder}/sources.list`,
    'Dir::Etc::sourceparts': `${folder}/none`,
    'Dir::Etc::preferences': `${folder}/no-preferences`,
    'Dir::Etc::preferencesparts': `${folder}/none`,
    'Dir::State': folder,
    'Dir::State::lists': `${folder}/lists`,
    'Dir::State::status': `${folder}/status`,
    'Dir::State::extended_states': `${folder}/extended_states`,
    'Dir::Cache': `${folder}/cache`,
    'Dir::Log': folder,
    'APT::Architecture': architecture,
    // Default for root is a user who cannot enter a cache folder in root's home.
    'APT::Sandbox::User': 'root',
    'APT::Update::Error-Mode': 'any',
    'APT::Keep-Downloaded-Packages': 'true',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '2',
    'Acquire::http::Timeout': '30',
    'Acquire::https::Timeout': '30',
  }
  const cleared = [...hooks, ...dpkgHooks, 'APT::Architectures'].map((name) => `#clear ${name};\n`)
  const set = Object.entries(settings).map(([name, value]) => `${name} "${value}";\n`)
  return [...cleared, ...set].join('')
}
