import type { Command } from 'commander'
import { describeDegraded, describeState } from '../describe.ts'
import { table } from '../output.ts'
import { type CommonOptions, sessionFor, withDaemon } from '../session.ts'

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
    [
      'phase',
      state.phase + (state.phase === 'running' ? (state.degraded ? ' (ready, degraded)' : ' (ready)') : ''),
    ],
    ['cause', state.cause + (state.reason ? ` (${state.reason})` : '')],
    ...state.evidence.map(({ source, detail }) => ['evidence', `${source}: ${detail}`]),
    ['kernel random', state.kernelRandom],
    ['changed', `${(state.changedAtUsec / 1e6).toFixed(6)} s after boot`],
    ['watchers', `${state.trackedWatchers} tracked, ${state.outdatedWatchers} not adjusted`],
    ...describeDegraded(state).map((line) => ['', line]),
  ]
  session.output.result({ ...state, summary: describeState(state) }, table(rows))
}
