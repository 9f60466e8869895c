import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { do_not_optimize } from 'mitata'
import { loadNative } from '../packages/snapsafe/src/native.ts'
import { openPage } from '../packages/snapsafe/src/protocol/page.ts'
import { createOrContinuePage } from '../packages/snapsafe/src/protocol/page-writer.ts'
import type { BenchResult, BenchTable } from './run.ts'

export const question =
  'What does one check of the generation cost, and what does it add to drawing a random value?'

/** How long one loop runs: long beside the clock's own cost, short beside what else the machine does in between. */
const sliceNs = 250_000
const warmUpSlices = 40
const roundsPerBuild = 100
/** Where V8 happens to put code moves a loop by some percent, the same in every round. So all code is built anew. */
const firstBuilds = 16
const maxBuilds = 32
/** randomUUID draws for so many at once (kBatchSize in Node): whole batches only, or the loops are not alike. */
const batchTurns = 128

/** A loop over one statement. `scope` is what the statement sees. */
interface Case {
  readonly name: string
  readonly statement: string
  readonly scope: object
}

/** Nanoseconds per turn, in each round of one build. */
type Build = ReadonlyMap<Case, readonly number[]>

interface Draw {
  readonly without: Case
  readonly with: Case
}

export function run(): BenchResult {
  const directory = mkdtempSync(join(tmpdir(), 'snapsafe-bench-'))
  try {
    return measure(join(directory, 'generation'))
  } finally {
    rmSync(directory, { recursive: true })
  }
}

function measure(path: string): BenchResult {
  const { empty, checks, draws } = prepare(path)
  const cases = [empty, ...checks, ...draws.flatMap((draw) => [draw.without, draw.with])]
  const builds: Build[] = []
  do {
    for (const end = builds.length * 2 || firstBuilds; builds.length < end; )
      builds.push(runBuild(cases, builds.length))
  } while (builds.length < maxBuilds && draws.some((draw) => isNoisy(builds, draw)))

  const notes = [
    `${builds.length} builds of the code, ${roundsPerBuild} interleaved rounds of each; all numbers are medians of the builds`,
    '"sure to" is the 95 % confidence interval of that median; "net" and "added" are differences within a round',
    'targets: a check costs at most 2 ns and adds at most 3 % to randomUUID',
  ]
  const lost = draws.filter((draw) => uncertainty(added(builds, draw)) > median(added(builds, draw)))
  if (lost.length > 0) {
    const names = lost.map((draw) => draw.without.name).join(', ')
    notes.push(
      `NOISE (where V8 put the code) is more than what the check adds, read "about nothing": ${names}`,
    )
  }
  return { tables: [tableOfChecks(builds, empty, checks), tableOfDraws(builds, draws)], notes }
}

function prepare(path: string): { empty: Case; checks: readonly Case[]; draws: readonly Draw[] } {
  const loaded = loadNative()
  if (loaded.addon === undefined) throw new Error(loaded.reason)
  const native = loaded.addon
  createOrContinuePage(path, { native, id: randomBytes(16).toString('hex') }).page.close()
  const fd = openSync(path, 'r+')
  const page = openPage(path, { native })
  const withoutAddon = openPage(path, { native: undefined })
  const words = new Uint32Array(native.mapPage(fd))
  const writer = native.openPageWriter(fd)
  const check = 'if (page.stamp() !== seen) sum++;'
  const draw = (name: string, statement: string, scope: object): Draw => ({
    without: { name, statement, scope },
    with: { name: `${name} and a check`, statement: `${check} ${statement}`, scope: { page, ...scope } },
  })
  return {
    empty: { name: 'empty loop', statement: '', scope: {} },
    checks: [
      { name: 'mapped, as guards do: two loads', statement: check, scope: { page } },
      {
        name: 'mapped: the generation alone',
        statement: 'if (page.generation() !== seen) sum++;',
        scope: { page },
      },
      { name: 'by Atomics.load', statement: 'if (Atomics.load(words, 0) !== seen) sum++;', scope: { words } },
      {
        name: 'a call of the addon (pageLoad32)',
        statement: 'if (native.pageLoad32(writer, 0) !== seen) sum++;',
        scope: { native, writer },
      },
      { name: 'without the addon: read(2), twice', statement: check, scope: { page: withoutAddon } },
    ],
    draws: [
      // Reading a character makes V8 build the string, which it would put off, or leave out.
      draw('crypto.randomUUID()', 'sum += randomUUID().charCodeAt(turn & 31);', { randomUUID }),
      draw('crypto.randomBytes(16)', 'sum += randomBytes(16)[turn & 15];', { randomBytes }),
      draw('Math.random()', 'sum += Math.random();', {}),
    ],
  }
}

function tableOfChecks(builds: readonly Build[], empty: Case, checks: readonly Case[]): BenchTable {
  const columns = ['how', 'ns with loop', 'ns net', 'sure to', 'of all builds', 'times']
  const cheapest = median(checks[0] === undefined ? [] : differences(builds, checks[0], empty))
  const rows = checks.map((each) => {
    const net = differences(builds, each, empty)
    return [each.name, ns(perTurn(builds, each)), ...summary(net), ratio(median(net) / cheapest)]
  })
  return { title: 'One check', columns, rows }
}

function tableOfDraws(builds: readonly Build[], draws: readonly Draw[]): BenchTable {
  const columns = [
    'draw',
    'ns alone',
    'ns with check',
    'ns added',
    'sure to',
    'of all builds',
    'percent',
    'times',
  ]
  const rows = draws.map((draw) => {
    const [alone, both] = [perTurn(builds, draw.without), perTurn(builds, draw.with)]
    const more = added(builds, draw)
    const percent = `${((100 * median(more)) / alone).toFixed(1)} %`
    return [draw.without.name, ns(alone), ns(both), ...summary(more), percent, ratio(both / alone)]
  })
  return { title: 'What a check (mapped) adds to a draw', columns, rows }
}

/** Builds all loops anew, and runs them by turns, so that whatever slows the machine slows all of them. */
function runBuild(cases: readonly Case[], build: number): Build {
  const loops = cases.map((each) => warmUp(compile(each, build)))
  const rounds = new Map(cases.map((each) => [each, [] as number[]]))
  for (let round = 0; round < roundsPerBuild; round++) {
    const order = [...cases.keys()]
    // To and fro: no case always runs behind the same one.
    for (const index of round % 2 === 0 ? order : order.reverse()) {
      const [each, loop] = [cases[index], loops[index]]
      if (each && loop) rounds.get(each)?.push(time(loop.run, loop.turns) / loop.turns)
    }
  }
  return rounds
}

/** Code of its own for each case; the name is in it because V8 shares code, and what it learnt, between equal sources. */
function compile({ name, statement, scope }: Case, build: number): (turns: number) => unknown {
  const source = `/* ${name}, ${build} */ return function (turns) {
    const seen = 0; let sum = 0
    for (let turn = 0; turn < turns; turn++) { ${statement} }
    return sum
  }`
  return new Function(...Object.keys(scope), source)(...Object.values(scope))
}

/** Runs the loop until V8 has optimized it, and finds how many turns fill a slice. */
function warmUp(run: (turns: number) => unknown): { run: (turns: number) => unknown; turns: number } {
  let turns = batchTurns
  for (let slice = 0; slice < warmUpSlices; slice++) {
    let spentNs = time(run, turns)
    while (spentNs < sliceNs / 2) {
      turns *= 2
      spentNs = time(run, turns)
    }
    turns = batchTurns * Math.ceil((turns * sliceNs) / spentNs / batchTurns)
  }
  return { run, turns }
}

function time(run: (turns: number) => unknown, turns: number): number {
  const startNs = process.hrtime.bigint()
  do_not_optimize(run(turns))
  return Number(process.hrtime.bigint() - startNs)
}

function perTurn(builds: readonly Build[], each: Case): number {
  return median(builds.map((build) => median(build.get(each) ?? [])))
}

/** Of each build: round by round, because what disturbs a round disturbs both. */
function differences(builds: readonly Build[], more: Case, less: Case): number[] {
  return builds.map((build) => {
    const base = build.get(less) ?? []
    return median((build.get(more) ?? []).map((value, round) => value - (base[round] ?? Number.NaN)))
  })
}

function added(builds: readonly Build[], draw: Draw): number[] {
  return differences(builds, draw.with, draw.without)
}

/** Whether more builds would help: what a check adds is known neither to a fifth of itself nor to 0.5 % of the draw. */
function isNoisy(builds: readonly Build[], draw: Draw): boolean {
  const more = added(builds, draw)
  return uncertainty(more) > Math.max(Math.abs(median(more)) / 5, perTurn(builds, draw.without) / 200)
}

/** Half of the 95 % confidence interval of a median, as the notches of a box plot have it (McGill 1978). */
function uncertainty(values: readonly number[]): number {
  return (1.57 * (quantile(values, 0.75) - quantile(values, 0.25))) / Math.sqrt(values.length)
}

function quantile(values: readonly number[], part: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * part)] ?? Number.NaN
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** Median, how sure it is, and the lowest and the highest. */
function summary(values: readonly number[]): (string | number)[] {
  const range = `${ns(quantile(values, 0))} .. ${ns(quantile(values, 1))}`
  return [ns(median(values)), `± ${ns(uncertainty(values))}`, range]
}

function ns(value: number): number {
  return Number(value.toFixed(2))
}

function ratio(value: number): number {
  return Number(value.toFixed(3))
}
