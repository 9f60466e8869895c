import { resolve } from 'node:path'
import { Command } from 'commander'
import { runtimeDirOf } from 'snapsafe/protocol'
import { version } from '../version.ts'
import { defaultConfigPath } from './config.ts'
import { defaultStateDir, systemStateDir } from './paths.ts'

export interface DaemonOptions {
  readonly runtimeDir: string
  readonly stateDir: string
  /** Undefined: the default file, which need not exist. */
  readonly config: string | undefined
  /** Check the configuration and end. */
  readonly checkConfig: boolean
}

/** Reads the command line; ends the process with a message for a wrong one, and for --help and --version. */
export function readOptions(argv: readonly string[]): DaemonOptions {
  const command = new Command('snapsafed')
    .description('Notices that this system was restored from a snapshot, and tells every process')
    .option('--runtime-dir <dir>', 'where the page and the socket are; SNAPSAFE_RUNTIME_DIR', runtimeDirOf())
    .option(
      '--state-dir <dir>',
      `where the journal of generations is (default: ${systemStateDir}; "state" in any other runtime directory)`,
    )
    .option('--config <file>', `configuration (default: ${defaultConfigPath}, if it exists)`)
    .option('--check-config', 'check the configuration and end')
    .version(version)
    .exitOverride((end) => process.exit(end.exitCode === 0 ? 0 : 2))
    .parse(argv)
  const options = command.opts<{
    runtimeDir: string
    stateDir?: string
    config?: string
    checkConfig?: true
  }>()
  const runtimeDir = resolve(options.runtimeDir)
  return {
    runtimeDir,
    stateDir: options.stateDir === undefined ? defaultStateDir(runtimeDir) : resolve(options.stateDir),
    config: options.config,
    checkConfig: options.checkConfig ?? false,
  }
}
