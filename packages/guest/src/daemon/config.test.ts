import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ConfigError, loadConfig, parseConfig } from './config.ts'

function messageOf(text: string): string {
  try {
    parseConfig(text, 'snapsafed.toml')
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as Error).message
  }
  throw new Error('the configuration was accepted')
}

describe('the configuration', () => {
  it('has a default for everything', () => {
    expect(parseConfig('', 'snapsafed.toml')).toEqual({
      daemon: { group: 'snapsafe', max_connections: 4096 },
      watchers: {
        deadline: 10_000,
        max_deadline: 60_000,
        wait_for: 'everybody',
        max_per_user: 1024,
        grace: 2500,
        after_deadline: 'report',
        policies: {},
      },
      sources: { kmsg: 'auto' },
      kernel_random: { mode: 'auto' },
      freeze: {
        mode: 'auto',
        groups: [],
        except: [],
        timeout: 5000,
        deadline: 10_000,
        thaw_after: 60_000,
        max_thaw_after: 600_000,
        settle: 1000,
      },
    })
  })

  it('is documented by a file that has exactly the defaults', () => {
    const documented = readFileSync(new URL('../../../../system/snapsafed.toml', import.meta.url), 'utf8')
    expect(parseConfig(documented, 'snapsafed.toml')).toEqual(parseConfig('', 'snapsafed.toml'))
  })

  it('reads durations with their units', () => {
    const { watchers } = parseConfig('[watchers]\ndeadline = "250ms"\nmax_deadline = "2m"\n', 'f')
    expect(watchers).toMatchObject({ deadline: 250, max_deadline: 120_000 })
  })

  it('names the key, the line and the known keys of a typo', () => {
    expect(messageOf('# comment\n\n[watchers]\nmax_deadline = "60s"\ndeadlien = "10s"\n')).toBe(
      'snapsafed.toml:5: unknown key "watchers.deadlien"; known here: deadline, max_deadline, wait_for, max_per_user, grace, after_deadline, policies',
    )
  })

  it.each([
    ['an unknown table', '[wachters]\n', ':1: unknown key "wachters"'],
    ['an unknown key of the top', 'x = 1\n', ':1: unknown key "x"'],
    ['a dotted key', '\nsources.kmsq = "on"\n', ':2: unknown key "sources.kmsq"; known here: kmsg'],
    ['a quoted key', '[sources]\n"kmsq" = "on"\n', ':2: unknown key "sources.kmsq"'],
    ['a wrong type', '[daemon]\ngroup = 7\n', ':2: daemon.group: '],
    ['a word that is no mode', '[sources]\nkmsg = "maybe"\n', ':2: sources.kmsg: '],
    ['a duration without a unit', '[watchers]\ndeadline = "10"\n', 'with a unit'],
    ['a deadline over the longest', '[watchers]\n\ndeadline = "2m"\n', ':3: watchers.deadline: deadline is'],
    [
      'a freeze that nobody waits for',
      '[freeze]\ntimeout = "30s"\n',
      ':2: freeze.timeout: is longer than 25s',
    ],
    ['a thaw after the longest', '[freeze]\nthaw_after = "11m"\n', ':2: freeze.thaw_after: thaw_after is'],
    ['a time that no timer has', '[freeze]\n\nsettle = "2d"\n', ':3: freeze.settle: is longer than a day'],
    [
      'a group that is no path',
      '[freeze]\nexcept = []\ngroups = ["/workload", "web.slice"]\n',
      ':3: freeze.groups.1: "web.slice" is not the path of a cgroup: it begins with a slash',
    ],
    ['a group with a way out', '[freeze]\nexcept = ["/a/../b"]\n', ':2: freeze.except.0: "/a/../b" is not'],
    [
      'a policy for nobody',
      '[watchers.policies]\nkeys = { after_deadline = "hold" }\n',
      ':2: watchers.policies.keys: is neither "report", "hold", "restart" or "kill" nor { after_deadline',
    ],
    ['a policy that there is not', '[watchers]\npolicies = { keys = "wait" }\n', 'keys: is neither "report"'],
    ['text that is not TOML', '[daemon]\ngroup = \n', ':2: '],
    ['a table that is a value', 'daemon = 3\n', ':1: daemon: '],
  ])('refuses %s', (_, text, message) => {
    expect(messageOf(text)).toContain(message)
  })

  it('refuses a file that was named and is not there', () => {
    expect(() => loadConfig('/nonexistent/snapsafed.toml')).toThrow(/cannot read the configuration .*ENOENT/)
  })
})
