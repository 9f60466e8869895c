import { type Command, Option } from 'commander'
import { describeState } from '../describe.ts'
import { readSeed } from '../seed.ts'
import { type CommonOptions, sessionFor, withDaemon } from '../session.ts'

/** Every source is asked, the kernel's generator made unique and the workload thawed; a clone has much to do at first. */
const answerTimeoutMs = 120_000

interface ResumeOptions extends CommonOptions {
  readonly restored?: true
  readonly same?: true
  readonly restoreId?: string
  readonly seedFile?: string
}

export function addResume(program: Command): void {
  program
    .command('resume')
    .description('go on after a planned snapshot: root and the group snapsafe only')
    .option('--restored', 'this is a copy (default: every source of evidence is asked)')
    .addOption(new Option('--same', 'this is the original').conflicts(['restored', 'restoreId']))
    .option('--restore-id <id>', 'names this restore, which makes it a copy; twice the same is one restore')
    .option(
      '--seed-file <file>',
      'of 64 to 512 bytes that no other copy gets, for the random generator; - is standard input',
    )
    .action((_, command: Command) => resume(command.optsWithGlobals()))
}

async function resume(options: ResumeOptions): Promise<void> {
  const session = sessionFor(options)
  const { restored, same, restoreId, seedFile } = options
  const parameters = {
    ...((restored || same) && { restored: restored ?? false }),
    ...(restoreId !== undefined && { restoreId }),
    ...(seedFile !== undefined && { seed: await readSeed(seedFile) }),
  }
  const [before, reply] = await withDaemon(session, (client) =>
    Promise.all([
      client.call('GetState', {}),
      client.call('Resume', parameters, { timeoutMs: answerTimeoutMs }),
    ]),
  )
  const original = `this is the original, generation ${reply.state.generation}`
  const goesOn = before.state.quiesce ? `thawed; ${original}` : `nothing was quiesced; ${original}`
  session.output.result(
    { restored: reply.restored, state: reply.state },
    reply.restored ? `restored: ${describeState(reply.state)}` : goesOn,
  )
}
