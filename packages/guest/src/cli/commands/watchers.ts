import type { Command } from 'commander'
import type { Watcher } from 'snapsafe/protocol'
import { table } from '../output.ts'
import { type CommonOptions, sessionFor, withDaemon } from '../session.ts'
import { bootTimeUsec, seconds } from '../time.ts'

const head = [
  ...['WATCHER', 'NAME', 'PID', 'USER', 'STAGE', 'TRACKED', 'ASKED BEFORE', 'DEADLINE', 'ADJUSTED TO'],
  ...['OUTDATED FOR', 'OWING'],
]

export function addWatchers(program: Command): void {
  program
    .command('watchers')
    .description('list the watchers of this user; all of them for root')
    .action((_, command: Command) => watchers(command.optsWithGlobals()))
}

async function watchers(options: CommonOptions): Promise<void> {
  const session = sessionFor(options)
  const reply = await withDaemon(session, (client) => client.call('ListWatchers', {}))
  const nowUsec = bootTimeUsec()
  const rows = reply.watchers.map((each) => row(each, nowUsec))
  session.output.result({ watchers: reply.watchers }, table([head, ...rows]))
}

function row(watcher: Watcher, nowUsec: number): string[] {
  const { name, pid, uid, stage, tracked, deadlineMs, adjustedTo, owing, failure } = watcher
  return [
    watcher.watcher,
    name,
    `${pid}`,
    `${uid}`,
    stage,
    tracked ? 'yes' : 'no',
    watcher.beforeSnapshot ? 'yes' : 'no',
    `${deadlineMs} ms`,
    `${adjustedTo}`,
    watcher.sinceUsec == null ? '-' : seconds(nowUsec - watcher.sinceUsec),
    owing + (failure ? `: ${failure}` : '') + (watcher.absent ? ', absent' : ''),
  ]
}
