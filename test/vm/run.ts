import { Command, InvalidArgumentError, Option } from 'commander'
import { type KernelName, kernels } from './framework/kernels.ts'
import { scenarios } from './scenarios/index.ts'

interface RunOptions {
  readonly clones: number
  readonly kernel: KernelName
  readonly json?: true
}

const maxClones = 200

const program: Command = new Command('npm run vm --')
  .description('Plays a scenario in real guests. Packages are fetched into a cache on the first run.')
  .argument('<scenario>', '"list", or the name of one')
  .addOption(new Option('--clones <n>', 'how many clones').argParser(cloneCount).default(2))
  .addOption(new Option('--kernel <version>', 'of the guest').choices(Object.keys(kernels)).default('6.12'))
  .option('--json', 'the result as one JSON document on standard output')
  .action(run)
try {
  await program.parseAsync()
} catch (error) {
  // Errors of the framework say what, why and where the logs are; where in this program they arose helps nobody.
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
}

async function run(name: string, { clones, kernel, json }: RunOptions): Promise<void> {
  if (name === 'list') {
    const rows = scenarios.map(({ name, summary }) => ({ name, summary }))
    if (json) return print(rows)
    for (const row of rows) process.stdout.write(`${row.name.padEnd(20)}${row.summary}\n`)
    return
  }
  const scenario = scenarios.find((each) => each.name === name)
  if (!scenario) {
    program.error(
      `there is no scenario "${name}"; there are: ${scenarios.map((each) => each.name).join(', ')}`,
    )
  }
  const started = performance.now()
  const onProgress = (line: string): void => {
    process.stderr.write(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${line}\n`)
  }
  const result = await scenario.run({ clones, kernel, onProgress })
  if (json) print(result)
  else process.stdout.write(`${result.ok ? 'ok' : ['NOT OK', ...result.problems].join('\n  ')}\n`)
  process.exitCode = result.ok ? 0 : 1
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`)
}

function cloneCount(text: string): number {
  const count = Number(text)
  if (Number.isInteger(count) && count >= 1 && count <= maxClones) return count
  throw new InvalidArgumentError(`a whole number from 1 to ${maxClones} is wanted`)
}
