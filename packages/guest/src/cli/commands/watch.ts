import type { Command } from 'commander'
import { describeState } from '../describe.ts'
import { type CommonOptions, sessionFor, withDaemon } from '../session.ts'

interface WatchOptions extends CommonOptions {
  readonly name?: string
  readonly once?: true
}

export function addWatch(program: Command): void {
  program
    .command('watch')
    .description('show each new generation as it comes, one line each')
    .option('--name <name>', 'how this watcher is listed', 'snapsafe watch')
    .option('--once', 'end after the first new generation')
    .action((_, command: Command) => watch(command.optsWithGlobals()))
}

async function watch(options: WatchOptions): Promise<void> {
  const session = sessionFor(options)
  await withDaemon(session, async (client) => {
    for await (const { event, state } of client.stream('Watch', { name: options.name ?? 'snapsafe watch' })) {
      session.output.result({ event, state }, `${event}: ${describeState(state)}`)
      if (options.once && event === 'generation') return
    }
  })
}
