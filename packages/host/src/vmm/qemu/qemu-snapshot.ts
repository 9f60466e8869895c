import { copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Wait, withDeadline } from '../../deadline.ts'
import { QemuSnapshotError } from './qemu-errors.ts'
import { QemuMachine } from './qemu-machine.ts'
import type { QemuHardware, QemuProgram } from './qemu-options.ts'

const defaultTimeoutMs = 30_000
const pollMs = 5
/** QEMU's default is 128 MiB/s. Not `1 << 40`, which is 256 in JavaScript. */
const unlimitedBytesPerSecond = 2 ** 40
const layoutVersion = 1

/** What `machine.json` in the snapshot's folder says. No VMGenID: every clone has its own. */
interface SnapshotDescription {
  layoutVersion: number
  program: QemuProgram
  hardware: QemuHardware
  /** Whether the guest's memory is the file beside the state, or part of the state. */
  memory: 'file' | 'in-state'
}

/** A snapshot on disk: a folder with `machine.json`, `state` and, if the source's memory was a shared file, `memory`. */
export interface QemuSnapshot extends SnapshotDescription {
  folder: string
}

/** What a clone has of its own. */
export interface QemuCloneOptions {
  /** Existing folder of the clone alone, for its sockets and logs. */
  folder: string
  /** VMGenID of the clone, a GUID; default a fresh random one. The source's own makes the restore invisible to it. */
  vmgenid?: string
  /** Runs the clone with another QEMU than the source had. */
  program?: QemuProgram
  timeoutMs?: number
  signal?: AbortSignal | undefined
}

/**
 * Takes a snapshot into `folder` (created) and ends the source: its memory file becomes the snapshot's, so it must not
 * write to it again. With a shared memory file only the device state is written (milliseconds); the memory of a clone
 * (`share: false`) goes into the state. Resolves when the source has ended and the folder is complete; after a rejection
 * the source may be stopped, and the folder is not a snapshot.
 */
export async function takeQemuSnapshot(
  source: QemuMachine,
  options: { folder: string } & Partial<Wait>,
): Promise<QemuSnapshot> {
  const wait = { timeoutMs: options.timeoutMs ?? defaultTimeoutMs, signal: options.signal }
  const { program, hardware, memory } = source.options
  const shared = memory.kind === 'file' && memory.share
  const description = { layoutVersion, program, hardware, memory: shared ? 'file' : 'in-state' } as const
  await mkdir(options.folder, { recursive: true })
  await withDeadline('snapshot', wait, async (signal) => {
    await source.pause({ ...wait, signal })
    await prepareMigration(source, shared, { ...wait, signal })
    await source.qmp.execute('migrate', { uri: `file:${statePath(options.folder)}` }, { ...wait, signal })
    await migrationEnd(source, signal)
  })
  await source.close()
  if (shared) await move(memory.path, memoryPath(options.folder))
  // Written last: a folder without it is no snapshot.
  await writeFile(descriptionPath(options.folder), `${JSON.stringify(description, null, 2)}\n`)
  return { folder: options.folder, ...description }
}

/** Opens a snapshot that `takeQemuSnapshot` completed, perhaps in another process. */
export async function openQemuSnapshot(folder: string): Promise<QemuSnapshot> {
  let description: SnapshotDescription
  try {
    description = JSON.parse(await readFile(descriptionPath(folder), 'utf8')) as SnapshotDescription
  } catch (cause) {
    throw new QemuSnapshotError(`${folder} holds no complete snapshot: take it again`, { cause })
  }
  if (description.layoutVersion === layoutVersion) return { folder, ...description }
  throw new QemuSnapshotError(
    `${folder} has layout ${description.layoutVersion}, this version reads ${layoutVersion}: take the snapshot again`,
  )
}

/**
 * Starts a new QEMU process on the snapshot and resolves when it is loaded and still stopped, so that the caller can
 * connect to its ports first; then call `resume()`. Any number of clones may run at once: the snapshot is only read.
 */
export async function cloneQemuSnapshot(
  snapshot: QemuSnapshot,
  options: QemuCloneOptions,
): Promise<QemuMachine> {
  const wait = { timeoutMs: options.timeoutMs ?? defaultTimeoutMs, signal: options.signal }
  const clone = await QemuMachine.start({
    program: options.program ?? snapshot.program,
    hardware: snapshot.hardware,
    memory:
      snapshot.memory === 'file'
        ? { kind: 'file', path: memoryPath(snapshot.folder), share: false }
        : { kind: 'anonymous' },
    folder: options.folder,
    ...(options.vmgenid === undefined ? {} : { vmgenid: options.vmgenid }),
    incoming: true,
    startTimeoutMs: wait.timeoutMs,
    signal: options.signal,
  })
  try {
    await withDeadline(`loading the snapshot ${snapshot.folder}`, wait, async (signal) => {
      await prepareMigration(clone, snapshot.memory === 'file', { ...wait, signal })
      await clone.qmp.execute(
        'migrate-incoming',
        { uri: `file:${statePath(snapshot.folder)}` },
        { ...wait, signal },
      )
      // A state that does not load makes QEMU exit; the closed QMP connection ends this wait.
      await clone.qmp.waitForStatus('paused', { ...wait, signal })
    })
    return clone
  } catch (cause) {
    await clone.close()
    const words = (await readFile(clone.processLogPath, 'utf8').catch(() => '')).trim()
    throw new QemuSnapshotError(`cannot load the snapshot ${snapshot.folder}: ${words || String(cause)}`, {
      cause,
    })
  }
}

async function prepareMigration(machine: QemuMachine, ignoreShared: boolean, wait: Wait): Promise<void> {
  const capabilities = [{ capability: 'x-ignore-shared', state: ignoreShared }]
  await machine.qmp.execute('migrate-set-capabilities', { capabilities }, wait)
  await machine.qmp.execute('migrate-set-parameters', { 'max-bandwidth': unlimitedBytesPerSecond }, wait)
}

async function migrationEnd(source: QemuMachine, signal: AbortSignal): Promise<void> {
  for (;;) {
    const info = (await source.qmp.execute('query-migrate', {}, { signal })) as {
      status?: string
      'error-desc'?: string
    }
    if (info.status === 'completed') return
    if (info.status === 'failed' || info.status === 'cancelled') {
      throw new QemuSnapshotError(`QEMU could not write the snapshot: ${info['error-desc'] ?? info.status}`)
    }
    await sleep(pollMs, undefined, { signal })
  }
}

async function move(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
    await copyFile(from, to)
    await rm(from)
  }
}

const statePath = (folder: string): string => join(folder, 'state')
const memoryPath = (folder: string): string => join(folder, 'memory')
const descriptionPath = (folder: string): string => join(folder, 'machine.json')
