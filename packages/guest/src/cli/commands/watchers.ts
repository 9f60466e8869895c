import type { Command } from 'commander'
import { table } from '../output.ts'
import { type CommonOptions, sessionFor, withDaemon } from '../session.ts'

export function addWatchers(program: Command): void {
  program
    .command('watchers')
    .description('list the watchers of this user; all of them for root')
    .action((_, command: Command) => watchers(command.optsWithGlobals()))
}

async function watchers(options: CommonOptions): Promise<void> {
  const session = sessionFor(options)
  const reply = await withDaemon(session, (client) => client.call('ListWatchers', {}))
  const head = ['WATCHER', 'NAME', 'PID', 'USER', 'TRACKED', 'DEADLINE', 'ADJUSTED TO', 'OWING']
  const rows = reply.watchers.map((each) => [
    each.watcher,
    each.name,
    `${each.pid}`,
    `${each.uid}`,
    each.tracked ? 'yes' : 'no',
    `${each.deadlineMs} ms`,
    `${each.adjustedTo}`,
    each.owing + (each.failure ? `: ${each.failure}` : ''),
  ])
  session.output.result({ watchers: reply.watchers }, table([head, ...rows]))
}
