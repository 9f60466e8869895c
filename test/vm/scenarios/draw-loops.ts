import { compileProgram } from '../framework/compile-program.ts'
import type { FileTree } from '../framework/file-trees.ts'
import type { Guest } from '../framework/guest.ts'
import { type LoopName, loopNames, type OfLoops } from './compare-draws.ts'
import { DrawRecords, readHeader, readRecord, recordRanges, slotBytes } from './draw-ring.ts'
import { guestPrograms } from './snapsafe-tree.ts'

/** The cgroup that the loops run in, as the daemon's configuration names it. */
export const workload = '/workload'

const groupFolder = `/sys/fs/cgroup${workload}`
const cSource = `${import.meta.dirname}/../programs/draw-loop.c`
/** For what the faster loop draws in two seconds: even where other work shares the CPUs, the page has changed before that. */
const ringRecords = 524_288
/** How many records from before the snapshot are read at least. */
const marginSteps = 100
const recordTimeoutMs = 60_000

interface Loop {
  readonly argv: readonly string[]
  /** Of how many steps with the new generation there are records. */
  readonly after: number
}

const loops: OfLoops<Loop> = {
  c: { argv: [guestPrograms.drawLoop], after: 20_000 },
  node: { argv: ['node', guestPrograms.drawLoopNode], after: 3_000 },
}

/** How far a loop is. */
export interface LoopProgress {
  readonly begun: number
  /** Whether step `begun` has left no record yet; says something only of a loop that stands still. */
  readonly underWay: boolean
}

/** What a guest with the loops needs besides snapsafe. */
export async function drawLoopTrees(signal?: AbortSignal): Promise<FileTree[]> {
  return [{ from: await compileProgram(cSource, signal), to: guestPrograms.drawLoop }]
}

/** Starts both loops, in the cgroup; resolves when both are at work. A daemon has to run: they map its page. */
export async function startDrawLoops(guest: Guest): Promise<void> {
  await guest.run(['mkdir', '-p', groupFolder])
  const enter = `echo $$ >${groupFolder}/cgroup.procs && exec "$@"`
  for (const name of loopNames) {
    const { argv, after } = loops[name]
    const loop = [...argv, ringPath(name), `${ringRecords}`, `${after}`]
    await guest.start(programName(name), ['sh', '-c', enter, 'sh', ...loop])
  }
  for (const name of loopNames) await guest.waitLine(programName(name), 'drawing')
}

/** Reads the loops' own counters. */
export async function readProgress(guest: Guest): Promise<OfLoops<LoopProgress>> {
  const read = async (name: LoopName): Promise<LoopProgress> => {
    const { begun } = readHeader(await readSlots(guest, name, [{ offset: 0, bytes: slotBytes }]))
    const { step } = readRecord(await readSlots(guest, name, recordRanges(begun, begun, ringRecords)))
    return { begun, underWay: step !== begun }
  }
  return { c: await read('c'), node: await read('node') }
}

/** Waits until both loops have put on record what they draw in a new generation, and ends them. Resolves with the last steps. */
export async function endDrawLoops(guest: Guest): Promise<OfLoops<number>> {
  const last = { c: 0, node: 0 }
  for (const name of loopNames) {
    const { text } = await guest.waitLine(programName(name), 'recorded', { timeoutMs: recordTimeoutMs })
    last[name] = Number(text.split(' ')[1])
  }
  for (const name of loopNames) await guest.stop(programName(name), { signalName: 'SIGKILL' })
  return last
}

/** Reads the records of loops that have ended, from a little before `since`, or what is left of it, to `last`. */
export async function readRecords(
  guest: Guest,
  since: OfLoops<LoopProgress>,
  last: OfLoops<number>,
): Promise<OfLoops<DrawRecords>> {
  const read = async (name: LoopName): Promise<DrawRecords> => {
    const { begun } = readHeader(await readSlots(guest, name, [{ offset: 0, bytes: slotBytes }]))
    const first = Math.max(1, since[name].begun - marginSteps, last[name] - ringRecords + 1)
    return new DrawRecords(begun, await readSlots(guest, name, recordRanges(first, last[name], ringRecords)))
  }
  return { c: await read('c'), node: await read('node') }
}

async function readSlots(
  guest: Guest,
  name: LoopName,
  ranges: readonly { offset: number; bytes: number }[],
): Promise<Buffer> {
  const parts: Buffer[] = []
  for (const part of ranges) parts.push(await guest.readFile(ringPath(name), { part }))
  return Buffer.concat(parts)
}

function programName(name: LoopName): string {
  return `draw-${name}`
}

/** On a tmpfs. */
function ringPath(name: LoopName): string {
  return `/dev/shm/draws-${name}`
}
