import type { Methods, VarlinkClient } from 'snapsafe/protocol'
import { connectToDaemon, runtimeDirOf, socketPath } from 'snapsafe/protocol'
import { durationForm, parseDurationMs } from '../duration.ts'
import { exitCodes } from './exit-codes.ts'
import { CommandFailure } from './failure.ts'
import { type Output, outputFor } from './output.ts'

const connectTimeoutMs = 5000
/** ListWatchers of ten thousand watchers is a few mebibytes. */
const maxMessageBytes = 64 * 1024 * 1024

/** The options that every command has. */
export interface CommonOptions {
  readonly runtimeDir?: string
  readonly json?: true
}

/** What a command works with. */
export interface Session {
  readonly runtimeDir: string
  readonly output: Output
  connect(): Promise<VarlinkClient<Methods>>
}

export function sessionFor(options: CommonOptions): Session {
  const runtimeDir = options.runtimeDir ?? runtimeDirOf()
  return {
    runtimeDir,
    output: outputFor(options.json ?? false),
    connect: () => connectToDaemon(socketPath(runtimeDir), { connectTimeoutMs, limits: { maxMessageBytes } }),
  }
}

/** Runs `use` with a connection to the daemon, and closes it. */
export async function withDaemon<T>(
  session: Session,
  use: (client: VarlinkClient<Methods>) => Promise<T>,
): Promise<T> {
  const client = await session.connect()
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}

/** Milliseconds of an option such as `--timeout 5s`. */
export function durationOption(text: string): number {
  const ms = parseDurationMs(text)
  if (ms !== undefined) return ms
  throw new CommandFailure(`"${text}" is not ${durationForm}`, exitCodes.usage)
}

/** A generation given as an option. */
export function generationOption(text: string): number {
  const generation = Number(text)
  if (/^\d+$/.test(text) && generation <= 2 ** 32 - 1) return generation
  throw new CommandFailure(`"${text}" is not a generation: a whole number below 2^32`, exitCodes.usage)
}

/** How many, given as an option: at least one. */
export function countOption(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw new CommandFailure(`"${text}" is not a number from 1 on`, exitCodes.usage)
}
