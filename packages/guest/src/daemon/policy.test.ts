import { describe, expect, it } from 'vitest'
import { parseConfig } from './config.ts'
import { policyFor, warnOfUnknownUsers } from './policy.ts'

const { watchers } = parseConfig(
  `[watchers]
after_deadline = "kill"
policies = { held = "hold", keys = { after_deadline = "hold", user = 1000 }, web = { after_deadline = "restart", user = "root" }, lost = { after_deadline = "hold", user = "no such user" } }
`,
  'test',
)
const user = { uid: 1000, startTicks: 5, privileged: false }
const other = { ...user, uid: 1001 }
const root = { uid: 0, startTicks: 5, privileged: true }
const member = { ...user, uid: 1002, privileged: true }

describe('the policy', () => {
  it.each([
    ['held', root, 'hold'],
    ['held', member, 'hold'],
    ['held', user, 'report'],
    ['keys', user, 'hold'],
    ['keys', other, 'kill'],
    ['keys', root, 'kill'],
    ['web', root, 'restart'],
    ['web', user, 'kill'],
    ['lost', user, 'kill'],
    ['another', user, 'kill'],
    ['constructor', user, 'kill'],
    ['another', { ...user, startTicks: 0 }, 'report'],
    ['web', { ...root, startTicks: 0 }, 'report'],
    ['held', { ...root, startTicks: 0 }, 'hold'],
  ])('of %s for %j is %s', (name, who, policy) => {
    expect(policyFor(name, who, watchers)).toBe(policy)
  })

  it('is the same for everybody where only that is configured, and hold is for root and the group', () => {
    const hold = parseConfig('[watchers]\nafter_deadline = "hold"\n', 'test').watchers
    expect([root, member, user].map((who) => policyFor('w', who, hold))).toEqual(['hold', 'hold', 'report'])
  })

  it('for a user that there is not is warned of', () => {
    const warnings: string[] = []
    warnOfUnknownUsers(watchers, { warning: (text) => void warnings.push(text) })
    expect(warnings).toEqual([
      'watchers.policies names the user no such user for "lost", and there is no such user',
    ])
  })
})
