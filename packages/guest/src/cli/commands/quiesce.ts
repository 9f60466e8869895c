import { type Command, Option } from 'commander'
import type { PlannedSnapshot } from 'snapsafe/protocol'
import { describeState } from '../describe.ts'
import { table } from '../output.ts'
import { plannedRows } from '../planned-snapshot.ts'
import { type CommonOptions, durationOption, sessionFor, withDaemon } from '../session.ts'
import { bootTimeUsec } from '../time.ts'

/** The daemon gives up long before; this is for one that hangs. */
const answerTimeoutMs = 3_600_000
/** What the daemon may take when the watchers' deadline has passed: to wipe, to freeze, or to undo it all. */
const afterDeadlineMs = 60_000

interface QuiesceOptions extends CommonOptions {
  readonly deadline?: number
  readonly thawAfter?: number
  readonly reason?: string
  readonly force?: true
}

export function addQuiesce(program: Command): void {
  program
    .command('quiesce')
    .description(
      'prepare the system for a snapshot, and freeze its workload: root and the group snapsafe only',
    )
    .addOption(new Option('--deadline <duration>', 'for the watchers that prepare').argParser(durationOption))
    .addOption(
      new Option(
        '--thaw-after <duration>',
        'how long the workload stays frozen at most; then it is taken for a copy, and thawed',
      ).argParser(durationOption),
    )
    .option('--reason <text>', 'why, for the log and the status')
    .option('--force', 'go on although watchers do not want the snapshot, or do not answer')
    .action((_, command: Command) => quiesce(command.optsWithGlobals()))
}

/** Who interrupts it closes the connection, and with that undoes what was done. */
async function quiesce(options: QuiesceOptions): Promise<void> {
  const session = sessionFor(options)
  const { deadline, thawAfter, reason, force } = options
  const parameters = {
    ...(deadline !== undefined && { deadlineMs: deadline }),
    ...(thawAfter !== undefined && { thawAfterMs: thawAfter }),
    ...(reason !== undefined && { reason }),
    ...(force && { force }),
  }
  const timeoutMs = deadline === undefined ? answerTimeoutMs : deadline + afterDeadlineMs
  const { state } = await withDaemon(session, (client) => client.call('Quiesce', parameters, { timeoutMs }))
  session.output.result(
    { ...state, summary: describeState(state) },
    ['quiesced: take the snapshot now, then let it go on: snapsafe resume', ...details(state.quiesce)].join(
      '\n',
    ),
  )
  if (state.quiesce?.frozen.length) return
  session.output.warn(
    'nothing is frozen: every process runs on while the snapshot is taken; see [freeze] in snapsafed.toml',
  )
}

function details(planned: PlannedSnapshot | null | undefined): string[] {
  return planned ? [table(plannedRows(planned, bootTimeUsec()))] : []
}
