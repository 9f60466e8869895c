import type { ChildProcess } from 'node:child_process'

/** Signals that end a Node process which does not handle them, without its `exit` event. */
const fatalSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const children = new Set<ChildProcess>()

/**
 * Sees to it that `child` does not outlive this process when that exits, throws, or gets SIGINT, SIGTERM or SIGHUP. It is
 * forgotten when it ends. Nothing can be done here about SIGKILL: run the child under `setpriv --pdeathsig KILL` for that.
 */
export function killWithParent(child: ChildProcess): void {
  if (children.size === 0) listen()
  children.add(child)
  child.once('exit', () => {
    children.delete(child)
    if (children.size === 0) unlisten()
  })
}

function listen(): void {
  process.on('exit', killAll)
  for (const name of fatalSignals) process.on(name, onFatalSignal)
}

function unlisten(): void {
  process.off('exit', killAll)
  for (const name of fatalSignals) process.off(name, onFatalSignal)
}

function killAll(): void {
  for (const child of children) child.kill('SIGKILL')
}

function onFatalSignal(name: NodeJS.Signals): void {
  // Somebody else handles the signal: whether the process ends is theirs to say, and `exit` follows if it does.
  if (process.listenerCount(name) > 1) return
  killAll()
  unlisten()
  // Ends this process the way it would have ended without the listener, so that its parent sees the signal.
  process.kill(process.pid, name)
}
