import { existsSync } from 'node:fs'

/** What a test may need beyond Node. The environment variable REQUIRE names those that must be there, separated by commas. */
const needs = {
  root: () => (process.getuid?.() === 0 ? undefined : 'needs root'),
  vm: () =>
    process.arch === 'x64' && existsSync('/etc/debian_version')
      ? undefined
      : 'needs an x86_64 Debian machine: guests are made of its packages',
} satisfies Record<string, () => string | undefined>

export type Need = keyof typeof needs

/**
 * Why a test that needs this cannot run here, for `describe.skipIf`; undefined where it can. With REQUIRE naming the need,
 * a want of it is an error rather than a skip.
 */
export function lacking(...wanted: Need[]): string | undefined {
  const required = (process.env.REQUIRE ?? '').split(',')
  for (const need of wanted) {
    const reason = needs[need]()
    if (reason === undefined) continue
    if (required.includes(need)) throw new Error(`REQUIRE names ${need}, but this test ${reason}`)
    return reason
  }
  return undefined
}
