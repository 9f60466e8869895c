import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type FreezeTree, type GroupReason, planFreeze } from './freeze-plan.ts'
import { isWithin } from './group-path.ts'

/** A hierarchy of these groups and those above them; processes are in those that are named with a `!` behind. */
function tree(...paths: string[]): FreezeTree & { readonly all: string[] } {
  const all = new Set(['/'])
  const busy = new Set<string>()
  for (const path of paths) {
    const plain = path.replace('!', '')
    if (plain !== path) busy.add(plain)
    const parts = plain.split('/').slice(1)
    parts.forEach((_, index) => {
      all.add(`/${parts.slice(0, index + 1).join('/')}`)
    })
  }
  return {
    all: [...all],
    exists: (path) => all.has(path),
    hasProcesses: (path) => busy.has(path),
    children: (path) =>
      [...all].filter((other) => other !== '/' && (other.slice(0, other.lastIndexOf('/')) || '/') === path),
  }
}

const own = { group: '/system.slice/snapsafed.service', why: 'snapsafed runs in it' }

describe('what is frozen', () => {
  it('is the configured group, with all below it', () => {
    expect(planFreeze(tree('/workload/a!', '/workload/b!', '/other!'), ['/workload'], [])).toEqual({
      freeze: ['/workload'],
      running: [],
    })
  })

  it('is everything but the root, where the root is configured', () => {
    const { freeze, running } = planFreeze(tree('/a/b!', '/c!'), ['/'], [])
    expect(freeze).toEqual(['/a', '/c'])
    expect(running).toEqual([])
  })

  it('leaves out an exempt group, and freezes what is beside it', () => {
    const system = tree('/init.scope!', '/system.slice/a.service!', `${own.group}!`, '/user.slice/u/s!')
    const init = { group: '/init.scope', why: 'process 1 runs in it' }
    expect(planFreeze(system, ['/'], [own, init])).toEqual({
      freeze: ['/system.slice/a.service', '/user.slice/u'],
      running: [init, own],
    })
  })

  it('is not a slice of systemd, which must be able to start units there, but each unit in it', () => {
    const user = '/user.slice/user-1000.slice'
    const paths = tree(
      `${user}/user@1000.service/app.slice/a!`,
      `${user}/session-1.scope!`,
      '/b.slice!',
      '/c.slice',
    )
    expect(planFreeze(paths, ['/'], [])).toEqual({
      freeze: [`${user}/user@1000.service`, `${user}/session-1.scope`],
      running: [{ group: '/b.slice', why: 'has processes of its own beside its units' }],
    })
  })

  it('names a group whose own processes run because an exempt one is inside', () => {
    expect(planFreeze(tree('/a!', '/a/b!', '/a/c!'), ['/a'], [{ group: '/a/b', why: 'so' }])).toEqual({
      freeze: ['/a/c'],
      running: [
        { group: '/a', why: 'has processes of its own beside /a/b' },
        { group: '/a/b', why: 'so' },
      ],
    })
  })

  it('is not a group inside an exempt one', () => {
    expect(planFreeze(tree('/a/b/c!'), ['/a/b/c'], [{ group: '/a', why: 'so' }])).toEqual({
      freeze: [],
      running: [{ group: '/a/b/c', why: 'it is inside /a: so' }],
    })
  })

  it('is not an exempt group that is configured; all reasons are given, each once', () => {
    const exempt = [
      { group: '/a', why: 'one' },
      { group: '/a', why: 'two' },
      { group: '/a', why: 'two' },
    ]
    expect(planFreeze(tree('/a!'), ['/a'], exempt)).toEqual({
      freeze: [],
      running: [{ group: '/a', why: 'one; two' }],
    })
  })

  it('does not speak of exempt groups that are elsewhere, or nowhere', () => {
    const exempt = [own, { group: '/nowhere', why: 'so' }]
    expect(planFreeze(tree('/a!', own.group), ['/a'], exempt).running).toEqual([])
  })

  it('names each group once, and none inside another', () => {
    expect(planFreeze(tree('/a/b!', '/ab!'), ['/a/b', '/ab', '/a', '/a/b'], []).freeze.sort()).toEqual([
      '/a',
      '/ab',
    ])
  })

  it('names a configured group that is not there', () => {
    expect(planFreeze(tree('/a!'), ['/a', '/b', '/c*'], [])).toEqual({
      freeze: ['/a'],
      running: [
        { group: '/b', why: 'there is no such group' },
        { group: '/c*', why: 'there is no such group' },
      ],
    })
  })

  it.each([
    ['/s/w*', ['/s/w', '/s/web']],
    ['/s/*b', ['/s/web']],
    ['/*/web', ['/s/web', '/t.x/web']],
    ['/t.*/*', ['/t.x/web']],
    ['/*', ['/s', '/t.x', '/txx']],
  ])('takes * for anything within one part: %s', (pattern, groups) => {
    const paths = tree('/s/w!', '/s/web!', '/t.x/web!', '/txx!')
    expect(planFreeze(paths, [pattern], []).freeze).toEqual(groups)
    const exempt = [{ group: pattern, why: 'so' }]
    expect(planFreeze(paths, ['/'], exempt).running.map(({ group }) => group)).toEqual(groups)
  })

  it('leaves nothing out without a word, and freezes nothing exempt, whatever the groups', () => {
    const part = fc.constantFrom('a', 'b', 'c', 'd.slice')
    const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => `/${parts.join('/')}`)
    const node = fc.tuple(path, fc.boolean()).map(([name, busy]) => name + (busy ? '!' : ''))
    const groups = fc.array(fc.oneof(path, fc.constant('/')), { minLength: 1, maxLength: 3 })
    const property = fc.property(
      fc.array(node, { maxLength: 12 }),
      groups,
      fc.array(path),
      (nodes, wanted, spared) => {
        const paths = tree(...nodes)
        const exempt: GroupReason[] = spared.map((group) => ({ group, why: 'so' }))
        const { freeze, running } = planFreeze(paths, wanted, exempt)
        const there = spared.filter(paths.exists)
        for (const group of freeze) {
          expect(group).not.toMatch(/^\/$|\.slice$/)
          expect(freeze.filter((other) => isWithin(other, group))).toEqual([group])
          expect(there.filter((other) => isWithin(other, group) || isWithin(group, other))).toEqual([])
          expect(wanted.some((other) => isWithin(group, other))).toBe(true)
        }
        for (const busy of paths.all.filter(paths.hasProcesses)) {
          if (!wanted.some((group) => isWithin(busy, group))) continue
          const said = running.some(
            ({ group, why }) => busy === group || (isWithin(busy, group) && !why.includes('beside')),
          )
          expect(said).not.toBe(freeze.some((group) => isWithin(busy, group)))
        }
      },
    )
    fc.assert(property, { numRuns: 2000 })
  })
})
