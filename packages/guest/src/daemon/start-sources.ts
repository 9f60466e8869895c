import type { Source } from '../sources/source.ts'
import { SourceUnavailableError } from '../sources/source.ts'
import type { Config } from './config.ts'
import type { Log } from './log.ts'
import type { Manager } from './manager.ts'
import type { SourceBoard } from './source-board.ts'
import type { DaemonState } from './state-file.ts'

export interface SourcesContext {
  readonly manager: Manager
  /** An earlier daemon of this boot has published a page. */
  readonly continued: boolean
  readonly left: DaemonState | undefined
  readonly board: SourceBoard
  readonly log: Log
}

/**
 * Starts what can see a restore; resolves with what stops it again. A source that cannot work here is left out with a
 * warning, or, where the configuration insists on it, ends the start with its error.
 */
export async function startSources(
  sources: readonly Source[],
  modes: Config['sources'],
  { manager, continued, left, board, log }: SourcesContext,
): Promise<() => void> {
  const started: Source[] = []
  const stop = (): void => {
    for (const source of started) source.close()
  }
  for (const source of sources) {
    try {
      await source.start({
        continued,
        memory: left?.sources[source.name],
        report: (evidence, memory) => {
          manager.report(evidence)
          manager.remember(source.name, memory)
        },
        remember: (memory) => manager.remember(source.name, memory),
        fail: (error) => {
          board.set(source.name, 'failed', error.message)
          log.error(`source ${source.name} has stopped: ${error.message}`)
        },
      })
      started.push(source)
      board.set(source.name, 'working')
    } catch (error) {
      const insisted = modes[source.name as keyof Config['sources']] === 'on'
      if (insisted || !(error instanceof SourceUnavailableError)) {
        stop()
        throw error
      }
      board.set(source.name, 'unavailable', error.message)
      log.warning(`source ${source.name} cannot work here: ${error.message}`)
    }
  }
  if (started.length === 0)
    log.warning('no source can see a restore here; a new generation comes by bump alone')
  return stop
}
