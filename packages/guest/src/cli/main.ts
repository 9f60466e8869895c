import { Command, CommanderError } from 'commander'
import { version } from '../version.ts'
import { addBump } from './commands/bump.ts'
import { addDoctor } from './commands/doctor.ts'
import { addLog } from './commands/log.ts'
import { addQuiesce } from './commands/quiesce.ts'
import { addResume } from './commands/resume.ts'
import { addStatus } from './commands/status.ts'
import { addWait } from './commands/wait.ts'
import { addWatch } from './commands/watch.ts'
import { addWatchers } from './commands/watchers.ts'
import { exitCodes } from './exit-codes.ts'
import { failureOf } from './failure.ts'

const program = new Command('snapsafe')
  .description('Tells about restores of this system from a snapshot, and who has adjusted to them')
  .option('--runtime-dir <dir>', 'of the daemon (default: SNAPSAFE_RUNTIME_DIR, or /run/snapsafe)')
  .option('--json', 'one line of JSON for each result, on standard output')
  .version(version)
  .addHelpText(
    'after',
    `
Exit status: 0 ok, 1 failed, 2 usage, 3 not ready, not everybody has adjusted, or vetoed, 4 no privilege,
5 not supported here, 7 daemon not running, 124 timed out`,
  )
  .exitOverride()
const commands = [
  ...[addStatus, addWatch, addWait, addWatchers, addLog],
  ...[addQuiesce, addResume, addBump],
  addDoctor,
]
for (const add of commands) add(program)
for (const command of program.commands) {
  command
    .option('--json', 'one line of JSON for each result, on standard output')
    .option('--runtime-dir <dir>', 'of the daemon')
    .exitOverride()
}

// A reader that closes the pipe, such as head(1), has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? exitCodes.ok : exitCodes.failed)
})

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
  } else {
    const { message, exitCode } = failureOf(error)
    process.stderr.write(`snapsafe: ${message}\n`)
    process.exitCode = exitCode
  }
}
