import type { Source, SourceMemory } from '../sources/source.ts'
import { SourceUnavailableError } from '../sources/source.ts'
import type { Config } from './config.ts'
import type { Log } from './log.ts'
import type { Manager } from './manager.ts'
import type { SourceBoard } from './source-board.ts'

export interface SourcesContext {
  readonly manager: Manager
  /** An earlier daemon of this boot has published a page. */
  readonly continued: boolean
  /** What each source last saw, as far as an earlier daemon left it. */
  readonly memories: ReadonlyMap<string, SourceMemory>
  readonly board: SourceBoard
  readonly log: Log
}

/** What is at work. */
export interface StartedSources {
  /** Has every source look at once, and report what it sees before this returns. */
  sample(): void
  close(): void
}

/**
 * Starts what can see a restore. A source that cannot work here is left out with a
 * warning, or, where the configuration insists on it, ends the start with its error.
 */
export async function startSources(
  sources: readonly Source[],
  modes: Config['sources'],
  { manager, continued, memories, board, log }: SourcesContext,
): Promise<StartedSources> {
  const started: Source[] = []
  const stop = (): void => {
    for (const source of started) source.close()
  }
  for (const source of sources) {
    try {
      await source.start({
        continued,
        memory: memories.get(source.name),
        report: (evidence, memory) => manager.report(evidence, { memory }),
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
  const sample = (): void => {
    for (const source of started) source.sample()
  }
  return { sample, close: stop }
}
