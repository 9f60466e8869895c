import type { State, Watcher } from 'snapsafe/protocol'

/** A state in one line: `generation 3, running (ready), clone, 2 of 2 watchers adjusted`. */
export function describeState(state: State): string {
  const { generation, cause, trackedWatchers, outdatedWatchers } = state
  const confirmed = `${trackedWatchers - outdatedWatchers} of ${trackedWatchers} watchers adjusted`
  return `generation ${generation}, ${describePhase(state)}, ${cause}, ${confirmed}`
}

/** The phase, and what is to be known of it: `running (ready)`, `adjusting (stage network)`. */
export function describePhase({ phase, degraded, stage, quiesce }: State): string {
  switch (phase) {
    case 'running':
      return degraded ? 'running (ready, degraded)' : 'running (ready)'
    case 'quiescing':
      return quiesce ? `quiescing (${quiesce.prepared} of ${quiesce.of} watchers prepared)` : 'quiescing'
    case 'quiesced':
      return quiesce ? `quiesced (${counted(quiesce.frozen.length, 'cgroup')} frozen)` : 'quiesced'
    case 'adjusting':
      return stage ? `adjusting (stage ${stage})` : 'adjusting'
    default:
      phase satisfies never
      return phase
  }
}

/** Why a state is degraded, a line for each reason; empty where it is not. */
export function describeDegraded(state: State): string[] {
  const lines = state.missed.map((watcher) => `not adjusted: ${describeWatcher(watcher)}`)
  const unseen = state.degraded ? state.outdatedWatchers - state.missed.length : 0
  if (unseen > 0)
    lines.push(`not adjusted: ${unseen} watchers that this user may not see, or more than are named`)
  if (state.kernelRandom === 'unproven') {
    lines.push(
      'the kernel was reseeded without anything unique to this copy; give the machine a virtio-rng device',
    )
  }
  if (state.kernelRandom === 'failed')
    lines.push('the kernel could not be reseeded; the log of snapsafed says why')
  return lines
}

/** A watcher that has not adjusted, and why: `db (pid 12, user 0, missed its deadline)`. */
export function describeWatcher({ name, pid, uid, owing, failure, absent }: Watcher): string {
  const why = { no: '', pending: ', pending', deadline: ', missed its deadline', failed: ', failed' }[owing]
  return `${name} (pid ${pid}, user ${uid}${why}${failure ? `: ${failure}` : ''}${absent ? ', absent' : ''})`
}

/** `1 watcher`, `3 watchers`. */
export function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`
}
