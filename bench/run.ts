/**
 * Runs benches: `npm run bench -- NAME… [--json]`; without a name it lists them. Each file beside this one answers one
 * question by measuring, and asserts nothing. It exports `question` and `run`.
 */
import { readdirSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { parseArgs } from 'node:util'

export interface BenchTable {
  readonly title: string
  readonly columns: readonly string[]
  /** Numbers are aligned to the right and keep the digits they come with. */
  readonly rows: readonly (readonly (string | number)[])[]
}

export interface BenchResult {
  readonly tables: readonly BenchTable[]
  /** How sure the numbers are, and how they came about. */
  readonly notes: readonly string[]
}

export interface Bench {
  readonly question: string
  run(): Promise<BenchResult> | BenchResult
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { json: { type: 'boolean' } } })
const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.ts') && file !== 'run.ts')
  .map((file) => file.slice(0, -'.ts'.length))
const unknown = positionals.filter((name) => !names.includes(name))

if (unknown.length > 0) {
  console.error(`no such bench: ${unknown.join(', ')}; there are: ${names.join(', ')}`)
  process.exitCode = 2
} else if (positionals.length === 0) {
  for (const name of names) console.log(`${name.padEnd(12)} ${(await load(name)).question}`)
} else {
  for (const name of positionals) await runBench(name)
}

async function load(name: string): Promise<Bench> {
  return await import(`./${name}.ts`)
}

async function runBench(name: string): Promise<void> {
  const bench = await load(name)
  const machine = `Node ${process.versions.node}, Linux ${release()}, ${cpus().length} x ${cpus()[0]?.model ?? '?'}`
  const result = await bench.run()
  if (values.json) {
    console.log(JSON.stringify({ name, question: bench.question, machine, ...result }, undefined, 2))
    return
  }
  console.log(`${bench.question}\n${machine}`)
  for (const table of result.tables) printTable(table)
  console.log(result.notes.map((note) => `\n* ${note}`).join(''))
}

function printTable({ title, columns, rows }: BenchTable): void {
  const lines = [columns, ...rows].map((cells) => cells.map(String))
  const widths = columns.map((_, index) => Math.max(...lines.map((cells) => cells[index]?.length ?? 0)))
  console.log(`\n${title}`)
  for (const [row, cells] of lines.entries()) {
    const isNumber = (index: number): boolean => typeof rows[Math.max(0, row - 1)]?.[index] === 'number'
    const pad = (cell: string, index: number): string =>
      isNumber(index) ? cell.padStart(widths[index] ?? 0) : cell.padEnd(widths[index] ?? 0)
    console.log(`  ${cells.map(pad).join('   ')}`)
  }
}
