import { readFileSync } from 'node:fs'
import { parse, TomlError } from 'smol-toml'
import { z } from 'zod'
import { lineOfKey } from './config-lines.ts'
import { durationMs, mode } from './config-values.ts'
import { freezeSection } from './freeze-config.ts'

export const defaultConfigPath = '/etc/snapsafe/snapsafed.toml'

const deadlinePolicy = z.enum(['report', 'hold', 'restart', 'kill'])

const namedPolicy = z.union(
  [
    deadlinePolicy,
    /** For the watchers of one user alone, by name or number: anybody can take any name. */
    z.strictObject({ after_deadline: deadlinePolicy, user: z.union([z.string().min(1), z.int().min(0)]) }),
  ],
  {
    error:
      'is neither "report", "hold", "restart" or "kill" nor { after_deadline = one of them, user = "name" }',
  },
)

const schema = z.strictObject({
  daemon: z
    .strictObject({
      /** The group whose members may bump; it need not exist. */
      group: z.string().min(1).default('snapsafe'),
      /** Open connections, of everybody; 32 of them are kept for root and the group. */
      max_connections: z.int().min(64).max(65_536).default(4096),
    })
    .prefault({}),
  watchers: z
    .strictObject({
      /** For a watcher that asks for none. */
      deadline: durationMs.prefault('10s'),
      /** No stage of a generation waits longer than this for anybody. */
      max_deadline: durationMs.prefault('60s'),
      /** Whose watchers are waited for, and may veto; with `privileged`, those of others are told, and hold up nothing. */
      wait_for: z.enum(['everybody', 'privileged']).default('everybody'),
      max_per_user: z.int().min(1).max(65_536).default(1024),
      /** How long a watcher that owes something, and whose connection is gone, may take to come back. */
      grace: durationMs.prefault('2500ms'),
      /** What is done about one that has not adjusted: name it; wait for it all the same, where it is root's or the group's; restart its unit; kill it. */
      after_deadline: deadlinePolicy.default('report'),
      /** The same for watchers of a name, of anybody or of one user. */
      policies: z.record(z.string(), namedPolicy).default({}),
    })
    .refine(({ deadline, max_deadline }) => deadline <= max_deadline, {
      message: 'deadline is longer than max_deadline; shorten it, or raise max_deadline',
      path: ['deadline'],
    })
    .prefault({}),
  sources: z
    .strictObject({
      kmsg: mode.default('auto'),
    })
    .prefault({}),
  kernel_random: z
    .strictObject({
      /** auto: on where this is the system's own daemon, that is, where its runtime directory is the default one. */
      mode: mode.default('auto'),
    })
    .prefault({}),
  freeze: freezeSection.prefault({}),
})

export type Config = z.output<typeof schema>

/** The configuration cannot be used; the message names the file, the line, the key and what would be right. */
export class ConfigError extends Error {
  readonly code = 'ERR_SNAPSAFE_CONFIG'
  override readonly name = 'ConfigError'
}

/** Reads a configuration file. A missing file is an error only where somebody named it. */
export function loadConfig(path: string | undefined): Config {
  const file = path ?? defaultConfigPath
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if (path === undefined && (error as NodeJS.ErrnoException).code === 'ENOENT') return parseConfig('', file)
    throw new ConfigError(`cannot read the configuration ${file}: ${(error as Error).message}`)
  }
  return parseConfig(text, file)
}

/** Checks the text of a configuration file; `file` is for messages. */
export function parseConfig(text: string, file: string): Config {
  let document: unknown
  try {
    document = parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const [what = 'not valid TOML'] = error.message.split('\n')
    throw new ConfigError(`${file}:${error.line}: ${what}`)
  }
  const result = schema.safeParse(document)
  if (result.success) return result.data
  throw new ConfigError(
    result.error.issues.map((issue) => `${file}${describe(issue, text, document)}`).join('\n'),
  )
}

function describe(issue: z.core.$ZodIssue, text: string, document: unknown): string {
  if (issue.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys
    const path = [...issue.path, key]
    return `${at(text, path)} unknown key "${path.join('.')}"; known here: ${knownKeys(issue.path).join(', ')}`
  }
  const value = issue.path.reduce<unknown>(
    (table, key) => (table as Record<PropertyKey, unknown> | undefined)?.[key],
    document,
  )
  const got = issue.code === 'custom' ? '' : ` (it is ${JSON.stringify(value) ?? 'missing'})`
  return `${at(text, issue.path)} ${issue.path.join('.')}: ${issue.message}${got}`
}

function at(text: string, path: readonly PropertyKey[]): string {
  // An entry of a list has no key of its own.
  const line = lineOfKey(text, path.filter((part) => typeof part !== 'number').map(String))
  return line === undefined ? ':' : `:${line}:`
}

function knownKeys(path: readonly PropertyKey[]): string[] {
  let type: unknown = schema
  for (const key of path) type = unwrap((shapeOf(type) as Record<PropertyKey, unknown>)[key])
  return Object.keys(shapeOf(type))
}

function shapeOf(type: unknown): object {
  return (unwrap(type) as { shape: object }).shape
}

function unwrap(type: unknown): unknown {
  let inner = type
  while (inner instanceof z.ZodPrefault || inner instanceof z.ZodDefault) inner = inner.unwrap()
  return inner
}
