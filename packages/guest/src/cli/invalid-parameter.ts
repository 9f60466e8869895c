/** What a parameter of the daemon's methods is called on the command line, and what the daemon takes of it. */
const rules: ReadonlyMap<string, string> = new Map([
  ['reason', '--reason is longer than 200 characters'],
  ['minimum', '--minimum is over 2147483647'],
  ['deadlineMs', '--deadline is not over 0'],
  [
    'thawAfterMs',
    '--thaw-after is longer than freeze.max_thaw_after in snapsafed.toml allows, or not over 0',
  ],
  ['restoreId', '--restore-id is empty, longer than 128 characters, or has control characters in it'],
  ['seed', '--seed-file is empty, or has more than 512 bytes'],
  ['timeoutMs', '--timeout is longer than a day'],
  ['name', '--name is empty, longer than 128 characters, or has control characters in it'],
])

/** What is wrong with a parameter that the daemon has refused, in words of who called the command. */
export function describeInvalid(parameter: string): string {
  return rules.get(parameter) ?? `the daemon does not take this ${parameter}`
}
