import type { KernelName } from '../framework/kernels.ts'
import type { Progress } from '../framework/progress.ts'

export interface ScenarioOptions {
  readonly clones: number
  readonly kernel: KernelName
  readonly onProgress?: Progress
  readonly signal?: AbortSignal
}

/** What a scenario found. `ok`: what it is there to show was so; `problems` says what was not. */
export interface ScenarioResult {
  readonly ok: boolean
  readonly problems: readonly string[]
}

/** Something that is played in real guests; tests and the command line run it alike. */
export interface Scenario<R extends ScenarioResult = ScenarioResult> {
  readonly name: string
  /** One line for the list. */
  readonly summary: string
  run(options: ScenarioOptions): Promise<R>
}
