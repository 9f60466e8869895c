import { existsSync } from 'node:fs'
import { type Config, loadConfig, parseConfig } from './config.ts'
import { Daemon } from './daemon.ts'
import { stderrLog } from './log.ts'
import { readOptions } from './options.ts'
import { type DaemonPaths, daemonPaths } from './paths.ts'
import { thawForNobody } from './thaw-for-nobody.ts'

const exitFailed = 1
/** What a service manager takes as "do not start me again with this" (systemd.exec(5), EXIT_CONFIG). */
const exitConfig = 78

// A log that nobody reads any more is no reason to stop telling of restores.
process.stderr.on('error', () => {})
const log = stderrLog()
const options = readOptions(process.argv)
let starting: Promise<Daemon> | undefined

try {
  const config = await readConfig()
  if (options.checkConfig) process.exit(0)
  // From the first moment: a daemon that is stopped while it starts leaves no more behind than any other.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void stop())
  starting = Daemon.start(daemonPaths(options.runtimeDir, options.stateDir), config, log)
  await starting
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException
  log.error(message)
  if (!options.checkConfig) thawForNobody(daemonPaths(options.runtimeDir, options.stateDir), log)
  process.exit(code === 'ERR_SNAPSAFE_CONFIG' ? exitConfig : exitFailed)
}

/** With a wrong configuration the daemon does not stay, but nobody is left frozen by the one before it. */
async function readConfig(): Promise<Config> {
  try {
    return loadConfig(options.config)
  } catch (error) {
    const paths = daemonPaths(options.runtimeDir, options.stateDir)
    if (!options.checkConfig && existsSync(paths.frozen)) await thawLeftOver(paths)
    throw error
  }
}

/** A daemon with the defaults thaws what it finds frozen, in a new generation, when it starts and ends. */
async function thawLeftOver(paths: DaemonPaths): Promise<void> {
  try {
    const daemon = await Daemon.start(paths, parseConfig('', 'the defaults'), log)
    await daemon.close()
  } catch (error) {
    // Where another daemon runs, this is that one's business.
    log.error(`while thawing: ${(error as Error).message}`)
  }
}

/** Ends the process, when it has started. A start that fails is reported above. */
async function stop(): Promise<void> {
  const daemon = await starting?.catch(() => undefined)
  try {
    await daemon?.close()
    process.exit(0)
  } catch (error) {
    log.error(`while stopping: ${(error as Error).message}`)
    process.exit(exitFailed)
  }
}
