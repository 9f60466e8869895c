import { type Command, Option } from 'commander'
import { generationErrorName, type Methods, type State, type VarlinkClient } from 'snapsafe/protocol'
import { counted, describeDegraded, describeState, describeWatcher } from '../describe.ts'
import { exitCodes } from '../exit-codes.ts'
import { CommandFailure } from '../failure.ts'
import type { WaitNews } from '../progress.ts'
import {
  type CommonOptions,
  durationOption,
  generationOption,
  type Session,
  sessionFor,
  withDaemon,
} from '../session.ts'
import { showNews } from '../show-news.ts'

/** How many watchers the message after a time-out names. */
const maxNamed = 5

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
  const from = await generationToLeave(client, options)
  const parameters = { for: options.for, timeoutMs: options.timeout, ...(from !== undefined && { from }) }
  const reached = ({ phase, generation }: State): boolean =>
    options.for === 'ready' ? phase === 'running' : generation !== from
  const news = showNews(session.output)
  let last: WaitNews | undefined
  try {
    for await (const reply of client.stream('Wait', parameters)) {
      last = reply
      if (!reached(reply.state)) news.show(reply)
    }
  } catch (error) {
    news.end()
    if (generationErrorName(error) !== 'TimedOut') throw error
    throw new CommandFailure(await tooLate(client, options), exitCodes.timedOut)
  }
  news.end(last)
  if (!last) throw new CommandFailure('the daemon ended the wait without an answer', exitCodes.failed)
  return last.state
}

async function generationToLeave(
  client: VarlinkClient<Methods>,
  options: WaitOptions,
): Promise<number | undefined> {
  if (options.for === 'ready') return undefined
  return options.from ?? (await client.call('GetState', {})).state.generation
}

/** What did not happen, and whom it waits for: as they are now, because nothing may have changed since the wait began. */
async function tooLate(client: VarlinkClient<Methods>, options: WaitOptions): Promise<string> {
  const [{ state }, { watchers }] = await Promise.all([
    client.call('GetState', {}),
    client.call('ListWatchers', {}),
  ])
  const what = options.for === 'ready' ? 'ready' : 'of another generation'
  const late = `not ${what} within ${options.timeout} ms; at the end: ${describeState(state)}`
  if (options.for !== 'ready') return late
  const owing = watchers
    .filter(({ tracked, owing }) => tracked && owing !== 'no')
    .sort((a, b) => (a.sinceUsec ?? 0) - (b.sinceUsec ?? 0))
    .slice(0, maxNamed)
  const unnamed = state.outdatedWatchers - owing.length
  const others = unnamed > 0 ? [`not adjusted: ${counted(unnamed, 'more watcher')}`] : []
  return [late, ...owing.map((each) => `not adjusted: ${describeWatcher(each)}`), ...others].join('\n  ')
}
