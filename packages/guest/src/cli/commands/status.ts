import type { Command } from 'commander'
import { describeDegraded, describePhase, describeState } from '../describe.ts'
import { table } from '../output.ts'
import { plannedRows } from '../planned-snapshot.ts'
import { type CommonOptions, sessionFor, withDaemon } from '../session.ts'
import { afterBoot, bootTimeUsec } from '../time.ts'

export function addStatus(program: Command): void {
  program
    .command('status')
    .description('show the generation, what the system is doing and why')
    .action((_, command: Command) => status(command.optsWithGlobals()))
}

async function status(options: CommonOptions): Promise<void> {
  const session = sessionFor(options)
  const { state } = await withDaemon(session, (client) => client.call('GetState', {}))
  const rows = [
    ['generation', `${state.generation}`],
    ['id', state.generationId],
    ['phase', describePhase(state)],
    ...(state.quiesce ? plannedRows(state.quiesce, bootTimeUsec()) : []),
    ['cause', state.cause + (state.reason ? ` (${state.reason})` : '')],
    ...state.evidence.map(({ source, detail }) => ['evidence', `${source}: ${detail}`]),
    ['kernel random', state.kernelRandom],
    ['changed', afterBoot(state.changedAtUsec)],
    ['watchers', `${state.trackedWatchers} tracked, ${state.outdatedWatchers} not adjusted`],
    ...describeDegraded(state).map((line) => ['', line]),
  ]
  session.output.result({ ...state, summary: describeState(state) }, table(rows))
}
