import type { NativeAddon } from 'snapsafe/native'
import type { KernelRandomDoor } from '../system/kernel-random.ts'
import type { MemoryGuard } from '../system/protected-memory.ts'
import type { Config } from './config.ts'
import type { Freeze } from './freeze.ts'
import type { Log } from './log.ts'
import type { DaemonPaths } from './paths.ts'

/** What the composition hands to each of its steps. */
export interface Parts {
  readonly addon: NativeAddon
  readonly paths: DaemonPaths
  readonly config: Config
  readonly log: Log
  readonly freeze: Freeze
  readonly kernelRandom: KernelRandomDoor
  readonly memory: MemoryGuard
}

/** Has something let go of when the daemon ends, before what was taken earlier. */
export type CloseLater = (close: () => void | Promise<void>) => void
