import { createReadStream } from 'node:fs'
import { addAbortSignal, type Readable } from 'node:stream'
import { exitCodes } from './exit-codes.ts'
import { CommandFailure } from './failure.ts'

/** Twice what the kernel's generator holds, so that no weakness of the bytes matters. */
const minSeedBytes = 64
/** The interface takes no more. */
const maxSeedBytes = 512
/** A workload is frozen meanwhile: who passes the seed through a pipe has to close it. */
const readTimeoutMs = 30_000

/**
 * The bytes of a seed file, in hexadecimal digits; `-` is standard input. They are a secret: no message says anything of them.
 *
 * @throws CommandFailure where it cannot be read, does not end in time, or is not of 64 to 512 bytes.
 */
export async function readSeed(path: string, timeoutMs = readTimeoutMs): Promise<string> {
  const name = path === '-' ? 'standard input' : path
  // One byte beyond the limit tells a file that is too long from one that is not, and from one that never ends.
  const stream = path === '-' ? process.stdin : createReadStream(path, { end: maxSeedBytes })
  const seed = await readUpTo(stream, maxSeedBytes + 1, timeoutMs).catch((error: Error) => {
    const why = error.name === 'AbortError' ? `it has not ended after ${timeoutMs} ms` : error.message
    throw new CommandFailure(`cannot read the seed from ${name}: ${why}`, exitCodes.failed)
  })
  if (seed.length >= minSeedBytes && seed.length <= maxSeedBytes) return seed.toString('hex')
  const length = seed.length > maxSeedBytes ? `more than ${maxSeedBytes}` : `${seed.length}`
  throw new CommandFailure(
    `a seed has ${minSeedBytes} to ${maxSeedBytes} bytes; ${name} has ${length}`,
    exitCodes.usage,
  )
}

async function readUpTo(stream: Readable, maxBytes: number, timeoutMs: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of addAbortSignal(AbortSignal.timeout(timeoutMs), stream)) {
    chunks.push(chunk)
    length += chunk.length
    if (length >= maxBytes) break
  }
  return Buffer.concat(chunks).subarray(0, maxBytes)
}
