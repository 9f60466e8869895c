import { closeSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import type { OrchestratorEvent } from '../orchestrator/events.ts'
import { step } from '../orchestrator/machine.ts'
import type { OrchestratorState } from '../orchestrator/state.ts'
import { type WatcherRecord, WatcherTable } from '../orchestrator/watcher-table.ts'
import type { MergeState } from '../sources/merge.ts'
import type { SourceMemory } from '../sources/source.ts'
import type { Log } from './log.ts'
import { isTelling, type Telling } from './untold.ts'

/** Of the file. Another one is not understood: the page alone is what is known then. */
const formatVersion = 2
/** So much is appended before all is written anew, or as much as that took the last time. */
const minAppendedBytes = 1024 * 1024
/** A full file system is not asked again at every change. */
const retryMs = 1000

/** All that the next daemon must know. */
export interface Saved {
  readonly state: OrchestratorState
  /** What each source last saw. */
  readonly memories: ReadonlyMap<string, SourceMemory>
  readonly credits: MergeState
  /** What watchers were to be told of when the daemon ended; it may have died before it did. Default: nothing. */
  readonly untold?: readonly Telling[]
}

/**
 * One change; what belongs together is one record, of which a daemon that is killed leaves all or nothing. An empty one says that
 * watchers were told of what was before it.
 */
export interface StoreRecord {
  readonly event?: OrchestratorEvent
  readonly memory?: { readonly source: string; readonly memory: SourceMemory }
  readonly credits?: readonly (readonly [string, readonly number[]])[]
}

/** What the first line of the file holds. */
interface Head {
  readonly version: number
  readonly state: Omit<OrchestratorState, 'watchers'> & { readonly watchers: readonly WatcherRecord[] }
  readonly memories: readonly (readonly [string, SourceMemory])[]
  readonly credits: readonly (readonly [string, readonly number[]])[]
  readonly untold?: readonly Telling[]
}

/**
 * What survives a daemon that is killed: a file in the runtime directory, whose first line is all that was known when it was
 * begun, and whose other lines are what happened since. A line is written before anything follows from it, so the next daemon
 * knows at least what anybody was told. The file is for root alone: memories of sources are in it.
 */
export class StateStore {
  readonly #path: string
  readonly #log: Log
  #fd: number | undefined
  #headBytes = 0
  #appendedBytes = 0
  #retryAtMs = 0

  constructor(path: string, log: Log) {
    this.#path = path
    this.#log = log
  }

  /** What the daemon before left; undefined where there was none, or none that this version understands. */
  load(): Saved | undefined {
    let text: string
    try {
      text = readFileSync(this.#path, 'utf8')
    } catch {
      return undefined
    }
    try {
      return replay(text)
    } catch (error) {
      this.#log.warning(`cannot go on from ${this.#path}: ${(error as Error).message}`)
      return undefined
    }
  }

  /** Writes everything, in the place of what was there; a daemon that is killed here leaves what was there. */
  write(saved: Saved): void {
    let fd: number | undefined
    try {
      const temporary = `${this.#path}.new`
      fd = openSync(temporary, 'w', 0o600)
      const bytes = Buffer.from(`${JSON.stringify(headOf(saved))}\n`)
      writeAll(fd, bytes)
      renameSync(temporary, this.#path)
      this.close()
      this.#fd = fd
      this.#headBytes = bytes.length
      this.#appendedBytes = 0
    } catch (error) {
      if (fd !== undefined) closeSync(fd)
      this.#giveUp(error)
    }
  }

  /** Puts a change on record. */
  append(record: StoreRecord): void {
    if (this.#fd === undefined) return
    try {
      this.#appendedBytes += writeAll(this.#fd, Buffer.from(`${JSON.stringify(record)}\n`))
    } catch (error) {
      this.#giveUp(error)
    }
  }

  /** Writes everything anew where so much was appended that it is time, or where what is there is of the past. */
  tidy(saved: () => Saved): void {
    const isDue =
      this.#fd === undefined
        ? performance.now() >= this.#retryAtMs
        : this.#appendedBytes >= Math.max(minAppendedBytes, this.#headBytes)
    if (isDue) this.write(saved())
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }

  #giveUp(error: unknown): void {
    this.close()
    this.#retryAtMs = performance.now() + retryMs
    this.#log.error(`cannot write ${this.#path}: ${(error as Error).message}`)
    // What is of the past must not be taken for the present. The page is what counts, and what the next daemon does not
    // know of, it takes for a restore.
    rmSync(this.#path, { force: true })
  }
}

function headOf({ state, memories, credits, untold }: Saved): Head {
  return {
    ...(untold?.length && { untold }),
    version: formatVersion,
    state: { ...state, watchers: [...state.watchers] },
    memories: [...memories],
    credits: [...credits],
  }
}

function replay(text: string): Saved {
  // A daemon that was killed while it wrote leaves a line without an end, from which nothing had followed.
  const [first, ...lines] = text.split('\n').slice(0, -1)
  if (first === undefined) throw new Error('it is empty')
  const head = JSON.parse(first) as Head
  if (head.version !== formatVersion) throw new Error(`it is of format ${head.version}, not ${formatVersion}`)
  let state: OrchestratorState = { ...head.state, watchers: WatcherTable.of(head.state.watchers) }
  const memories = new Map(head.memories)
  let { credits, untold = [] } = head
  for (const line of lines) {
    const record = JSON.parse(line) as StoreRecord
    if (record.memory) memories.set(record.memory.source, record.memory.memory)
    if (record.credits) credits = record.credits
    const [next, effects] = record.event ? step(state, record.event) : [state, []]
    state = next
    untold = effects.filter(isTelling)
  }
  return { state, memories, credits: new Map(credits), untold }
}

function writeAll(fd: number, bytes: Buffer): number {
  for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written)
  return bytes.length
}
