export { beforeSnapshot } from './before-snapshot.ts'
export { type Generation, generation } from './generation.ts'
export { GenerationUnstableError, type Guarded, type GuardOptions, guard } from './guard.ts'
export type { HookOptions, RestoreEvent, RestoreHook, RestoreHookOptions } from './hook.ts'
export { onRestore } from './hooks.ts'
export { type PerGenerationOptions, perGeneration } from './per-generation.ts'
export { ProtectedMemory, type ProtectedMemoryOptions } from './protected-memory.ts'
export {
  ProtectedMemoryClosedError,
  ProtectedMemoryUnsupportedError,
  ProtectedMemoryWipedError,
} from './protected-memory-errors.ts'
export type { Cause, Stage } from './protocol/interface.generated.ts'
export { NotReadyError, type Readiness, type ReadyOptions, ready } from './ready.ts'
export { HookTimeoutError } from './run-hook.ts'
export type { SnapshotEvent, SnapshotHookOptions, SnapshotOverEvent } from './snapshot-hook.ts'
