import type { State, Watcher } from 'snapsafe/protocol'

/** A state in one line: `generation 3, running (ready), clone`. */
export function describeState(state: State): string {
  const { generation, phase, cause, degraded, trackedWatchers, outdatedWatchers } = state
  const ready = phase === 'running' ? (degraded ? ' (ready, degraded)' : ' (ready)') : ''
  const confirmed = `${trackedWatchers - outdatedWatchers} of ${trackedWatchers} watchers adjusted`
  return `generation ${generation}, ${phase}${ready}, ${cause}, ${confirmed}`
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

function describeWatcher({ name, pid, uid, owing, failure }: Watcher): string {
  const why = { no: '', pending: ', pending', deadline: ', missed its deadline', failed: ', failed' }[owing]
  return `${name} (pid ${pid}, user ${uid}${why}${failure ? `: ${failure}` : ''})`
}
