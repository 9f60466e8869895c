import { type Command, Option } from 'commander'
import type { LogEntry } from 'snapsafe/protocol'
import { logBlock, logHead, timeline } from '../log-block.ts'
import { type CommonOptions, countOption, type Session, sessionFor, withDaemon } from '../session.ts'

interface LogOptions extends CommonOptions {
  readonly last?: number
  readonly follow?: true
}

export function addLog(program: Command): void {
  program
    .command('log')
    .description('show the last restores and planned snapshots: the time of each step, and who answered what')
    .addOption(new Option('--last <number>', 'so many of them (default: all)').argParser(countOption))
    .option('--follow', 'go on with every entry that is new or has changed')
    .action((_, command: Command) => log(command.optsWithGlobals()))
}

async function log(options: LogOptions): Promise<void> {
  const session = sessionFor(options)
  const parameters = options.last === undefined ? {} : { last: options.last }
  await withDaemon(session, async (client) => {
    if (!options.follow) {
      const { entries } = await client.call('GetLog', parameters)
      const text = entries.map(logBlock).join('\n\n')
      session.output.result({ entries }, text || 'neither a restore nor a planned snapshot so far')
      return
    }
    const show = follower(session)
    for await (const { entries } of client.stream('GetLog', parameters)) {
      for (const entry of entries) show(entry)
    }
  })
}

/** An entry changes with each step and each answer. As text its steps come when they happen, and all of it when it has ended. */
function follower({ output }: Session): (entry: LogEntry) => void {
  /** How many steps are on the screen, of each entry that is open. Entries end one after another, so there are few. */
  const shown = new Map<number, number>()
  return (entry) => {
    if (output.json) return output.result(entry, '')
    if (entry.outcome !== 'open') {
      shown.delete(entry.entry)
      return output.result(entry, `${logBlock(entry)}\n`)
    }
    const steps = timeline(entry.steps).slice(shown.get(entry.entry) ?? 0)
    for (const [step, at] of steps) output.result(entry, `${logHead(entry)}: ${step} at ${at}`)
    shown.set(entry.entry, entry.steps.length)
  }
}
