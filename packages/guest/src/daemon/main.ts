import { loadConfig } from './config.ts'
import { Daemon } from './daemon.ts'
import { stderrLog } from './log.ts'
import { readOptions } from './options.ts'
import { daemonPaths } from './paths.ts'

const exitFailed = 1
/** What a service manager takes as "do not start me again with this" (systemd.exec(5), EXIT_CONFIG). */
const exitConfig = 78

const log = stderrLog()
const options = readOptions(process.argv)
let daemon: Daemon | undefined

try {
  const config = loadConfig(options.config)
  if (options.checkConfig) process.exit(0)
  daemon = await Daemon.start(daemonPaths(options.runtimeDir, options.stateDir), config, log)
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException
  log.error(message)
  process.exit(code === 'ERR_SNAPSAFE_CONFIG' ? exitConfig : exitFailed)
}

const stop = (): void => {
  daemon?.close().then(
    () => process.exit(0),
    (error: Error) => {
      log.error(`while stopping: ${error.message}`)
      process.exit(exitFailed)
    },
  )
}
process.once('SIGTERM', stop)
process.once('SIGINT', stop)
