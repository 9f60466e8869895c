import type { OrchestratorState } from '../orchestrator/state.ts'

/** What the daemon's log says of a change that is announced. */
export function describeChange(
  event: 'generation' | 'quiesce' | 'ready' | 'resumed',
  state: OrchestratorState,
): string {
  const { generation, generationId, cause, watchers, phase } = state
  switch (event) {
    case 'generation':
      return `generation ${generation} (${generationId}, ${cause}), ${watchers.pending} watchers to wait for`
    case 'ready':
      return watchers.outdated > 0
        ? `ready, degraded: ${watchers.outdated} of ${watchers.tracked} watchers have not adjusted`
        : `ready: ${watchers.tracked} watchers have adjusted`
    case 'quiesce':
      return phase === 'quiesced' ? 'quiesced: the snapshot can be taken' : 'a snapshot is planned'
    case 'resumed':
      return `the planned snapshot is over: ${state.log.at(-1)?.detail ?? 'there was no restore'}`
    default:
      return event satisfies never
  }
}
