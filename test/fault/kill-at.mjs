import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { Socket } from 'node:net'
import { loadNative } from 'snapsafe/native'

/**
 * A preload of the daemon (`node --import`): kills it with SIGKILL at one chosen step. A step is anything by which it leaves
 * a trace outside of its own memory: a change of a file, of the page or of a cgroup, and bytes to a client. It says where it
 * died in a file of the test; of the daemon itself, nothing is changed. See kill-plan.ts for SNAPSAFE_KILL_AT.
 */
const { armedBy, at, when, steps, having = '', report } = JSON.parse(process.env.SNAPSAFE_KILL_AT ?? '{}')

const { openSync, writeSync } = fs
/** Of node:fs: what changes a file, a directory or a descriptor that others have. */
const changing = [
  'chmodSync',
  'fchmodSync',
  'ftruncateSync',
  'linkSync',
  'mkdirSync',
  'renameSync',
  'rmSync',
  'rmdirSync',
  'truncateSync',
  'unlinkSync',
  'writeFileSync',
  'writeSync',
]
/** Of the addon: what others see. */
const shown = [
  'addKernelEntropy',
  'pageStore32',
  'pageStoreBytes',
  'pidfdSendSignal',
  'reseedKernelRandom',
  'sendDatagram',
  'tryLock',
  'wakeFutex',
]
const armingCall = '"io.snapsafe.Generation.ListSources"'
const stderrFd = 2
/** Of the page: see page-layout.ts. */
const sequenceOffset = 0x0c

let armed = armedBy === 'start'
let count = 0
const reportFd = report === undefined ? undefined : openSync(report, 'a')

/** Carries out one step, or dies right before or right after it. */
function step(name, detail, run) {
  if (!armed || !`${name}(${detail})`.includes(having)) return run()
  count++
  if (count !== at) return run()
  if (when === 'before') die(name, detail)
  run()
  die(name, detail)
}

function die(name, detail) {
  writeSync(reportFd, `${when} step ${count}: ${name}(${detail})\n`)
  process.kill(process.pid, 'SIGKILL')
}

function brief(value) {
  if (typeof value === 'string' || Buffer.isBuffer(value)) return JSON.stringify(String(value).slice(0, 100))
  return typeof value === 'number' ? String(value) : ''
}

function wrap(owner, name, isStep = () => true) {
  const original = owner[name]
  owner[name] = function (...parameters) {
    const run = () => original.apply(this, parameters)
    if (!isStep(parameters)) return run()
    return step(name, parameters.map(brief).filter(Boolean).join(', '), run)
  }
}

/** An update of the page begins and ends with its sequence; the rest is seen by nobody who heeds that. */
function isCoarse(name, [, offset]) {
  return name === 'pageStore32'
    ? offset === sequenceOffset
    : name !== 'pageStoreBytes' && name !== 'wakeFutex'
}

if (steps === 'all' || steps === 'coarse') {
  for (const name of changing) wrap(fs, name, ([fd]) => fd !== stderrFd)
  // What is opened only to be read leaves no trace.
  wrap(fs, 'openSync', ([, flags = 'r']) =>
    typeof flags === 'string' ? flags !== 'r' : (flags & (fs.constants.O_CREAT | fs.constants.O_TRUNC)) !== 0,
  )
  syncBuiltinESMExports()
  const { addon } = loadNative()
  for (const name of shown) wrap(addon, name, (parameters) => steps === 'all' || isCoarse(name, parameters))
}

const { write, push } = Socket.prototype
Socket.prototype.write = function (...parameters) {
  const run = () => write.apply(this, parameters)
  return this.fd === stderrFd ? run() : step('reply', brief(parameters[0]), run)
}
/** What arrives on a connection. */
Socket.prototype.push = function (...parameters) {
  const [chunk] = parameters
  if (armedBy === 'call' && chunk?.includes(armingCall)) armed = true
  return push.apply(this, parameters)
}
