import { type Command, Option } from 'commander'
import { generationErrorName, type Methods, type State, type VarlinkClient } from 'snapsafe/protocol'
import { describeDegraded, describeState } from '../describe.ts'
import { exitCodes } from '../exit-codes.ts'
import { CommandFailure } from '../failure.ts'
import {
  type CommonOptions,
  durationOption,
  generationOption,
  type Session,
  sessionFor,
  withDaemon,
} from '../session.ts'

interface WaitOptions extends CommonOptions {
  readonly for: 'ready' | 'generation'
  readonly from?: number
  readonly timeout: number
  readonly acceptDegraded?: true
}

export function addWait(program: Command): void {
  program
    .command('wait')
    .description('wait until the guest is ready, or until the generation changes')
    .addOption(
      new Option('--for <what>', 'what to wait for').choices(['ready', 'generation']).default('ready'),
    )
    .addOption(
      new Option(
        '--from <generation>',
        'with --for generation: the one to leave (default: the current one)',
      ).argParser(generationOption),
    )
    .addOption(
      new Option('--timeout <duration>', 'how long').argParser(durationOption).default(60_000, '60s'),
    )
    .option('--accept-degraded', 'ready is enough, even where somebody has not adjusted')
    .action((_, command: Command) => wait(command.optsWithGlobals()))
}

async function wait(options: WaitOptions): Promise<void> {
  const session = sessionFor(options)
  const state = await withDaemon(session, (client) => lastState(client, session, options))
  session.output.result(state, describeState(state))
  if (options.for !== 'ready' || options.acceptDegraded || !state.degraded) return
  throw new CommandFailure(
    ['ready, but degraded', ...describeDegraded(state)].join('\n  '),
    exitCodes.notReady,
  )
}

async function lastState(
  client: VarlinkClient<Methods>,
  session: Session,
  options: WaitOptions,
): Promise<State> {
  let state: State | undefined
  const { from } = options
  const parameters = {
    for: options.for,
    timeoutMs: options.timeout,
    ...(from !== undefined && { from }),
  }
  try {
    for await (const reply of client.stream('Wait', parameters)) {
      if (state) session.output.progress(describeState(state))
      state = reply.state
    }
  } catch (error) {
    if (generationErrorName(error) !== 'TimedOut') throw error
    const what = options.for === 'ready' ? 'ready' : 'of another generation'
    const now = state ? `; at the end: ${describeState(state)}` : ''
    throw new CommandFailure(`not ${what} within ${options.timeout} ms${now}`, exitCodes.timedOut)
  }
  if (!state) throw new CommandFailure('the daemon ended the wait without an answer', exitCodes.failed)
  return state
}
