import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { owner } from '../../../../test/support/orchestrator/play.ts'
import { isBlocking, type WatcherRecord, WatcherTable } from './watcher-table.ts'

const stages = ['identity', 'network', 'application'] as const

const watcher: fc.Arbitrary<WatcherRecord> = fc.record(
  {
    // Few enough that they meet, and far enough apart that some are of one bucket.
    id: fc.integer({ min: 1, max: 10 }).map((one) => String(one * 32)),
    name: fc.constant('w'),
    owner: fc.constant(owner),
    tracked: fc.boolean(),
    stage: fc.constantFrom(...stages),
    deadlineMs: fc.constant(100),
    policy: fc.constant('report' as const),
    beforeSnapshot: fc.boolean(),
    registeredAtUsec: fc.constant(0),
    adjustedTo: fc.nat(3),
    owing: fc.constantFrom('no', 'pending', 'deadline', 'failed'),
    held: fc.boolean(),
    absentUntilUsec: fc.nat(9),
  },
  {
    requiredKeys: [
      'id',
      'name',
      'owner',
      'tracked',
      'stage',
      'deadlineMs',
      'policy',
      'beforeSnapshot',
      'registeredAtUsec',
      'adjustedTo',
      'owing',
    ],
  },
)

/** What may be done to a table, and the same done to a plain map. */
interface Change {
  readonly to: (table: WatcherTable) => WatcherTable
  readonly toMap: (plain: Map<string, WatcherRecord>) => Map<string, WatcherRecord>
}

const change: fc.Arbitrary<Change> = fc.oneof(
  watcher.map((one) => ({
    to: (table: WatcherTable) => table.with(one),
    toMap: (plain: Map<string, WatcherRecord>) => new Map(plain).set(one.id, one),
  })),
  watcher.map(({ id }) => ({
    to: (table: WatcherTable) => table.without(id),
    toMap: (plain: Map<string, WatcherRecord>) => new Map([...plain].filter(([other]) => other !== id)),
  })),
  fc.constantFrom('no' as const, 'pending' as const).map((owing) => ({
    to: (table: WatcherTable) => table.map((one) => ({ ...one, owing })),
    toMap: (plain: Map<string, WatcherRecord>) =>
      new Map([...plain].map(([id, one]) => [id, { ...one, owing }] as const)),
  })),
  fc.constant({
    to: (table: WatcherTable) => table.map((one) => (one.tracked ? one : undefined)),
    toMap: (plain: Map<string, WatcherRecord>) => new Map([...plain].filter(([, one]) => one.tracked)),
  }),
)

function expectSame(table: WatcherTable, plain: Map<string, WatcherRecord>): void {
  const all = [...plain.values()]
  const byId = (a: WatcherRecord, b: WatcherRecord) => Number(a.id) - Number(b.id)
  expect([...table].sort(byId)).toEqual(all.toSorted(byId))
  expect(table).toMatchObject({
    size: all.length,
    tracked: all.filter(({ tracked }) => tracked).length,
    outdated: all.filter(({ owing }) => owing !== 'no').length,
    pending: all.filter(({ owing }) => owing === 'pending').length,
    absent: all.filter(({ absentUntilUsec }) => absentUntilUsec !== undefined).length,
  })
  for (const [at, stage] of stages.entries()) {
    const upTo = all.filter((one) => isBlocking(one) && stages.indexOf(one.stage) <= at)
    expect(table.blockingUpTo(stage)).toBe(upTo.length)
  }
  for (const one of all) expect(table.get(one.id)).toEqual(one)
}

describe('a table of watchers', () => {
  it('is a map with counts, whatever was done to it', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
        let plain = new Map<string, WatcherRecord>()
        let table = WatcherTable.none()
        for (const one of changes) {
          table = one.to(table)
          plain = one.toMap(plain)
          expectSame(table, plain)
        }
        expectSame(WatcherTable.of(table), plain)
      }),
    )
  })

  it('stays what it was when another is made of it', () => {
    fc.assert(
      fc.property(fc.array(watcher), change, (watchers, one) => {
        const table = WatcherTable.of(watchers)
        const before = [...table]
        const { size, tracked, outdated } = table
        one.to(table)
        expect([...table]).toEqual(before)
        expect(table).toMatchObject({ size, tracked, outdated })
      }),
    )
  })

  it('has its watchers in the same order when it was JSON meanwhile', () => {
    fc.assert(
      fc.property(fc.array(watcher), (watchers) => {
        const table = watchers.reduce((sum, one) => sum.with(one), WatcherTable.none())
        expect([...WatcherTable.of(JSON.parse(JSON.stringify([...table])))]).toEqual([...table])
      }),
    )
  })

  it('is itself where nothing is taken from it', () => {
    const table = WatcherTable.none()
    expect(table.without('1')).toBe(table)
    expect(table.get('1')).toBeUndefined()
  })
})
