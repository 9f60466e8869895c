import { type Command, Option } from 'commander'
import { describeState } from '../describe.ts'
import { type CommonOptions, generationOption, sessionFor, withDaemon } from '../session.ts'

interface BumpOptions extends CommonOptions {
  readonly reason?: string
  readonly minimum?: number
}

export function addBump(program: Command): void {
  program
    .command('bump')
    .description('declare that this system was restored: root and the group snapsafe only')
    .option('--reason <text>', 'why, for the log and the status')
    .addOption(
      new Option('--minimum <generation>', 'the least that the new generation may be').argParser(
        generationOption,
      ),
    )
    .action((_, command: Command) => bump(command.optsWithGlobals()))
}

async function bump(options: BumpOptions): Promise<void> {
  const session = sessionFor(options)
  const { reason, minimum } = options
  const { state } = await withDaemon(session, (client) =>
    client.call('Bump', {
      ...(reason !== undefined && { reason }),
      ...(minimum !== undefined && { minimum }),
    }),
  )
  session.output.result(state, describeState(state))
}
