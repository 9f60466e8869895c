import { spawn } from 'node:child_process'

const defaultTimeoutMs = 300_000
const maxOutputBytes = 64 * 1024 * 1024
const quotedChars = 2_000

/** A command of this machine that failed; the message carries what it wrote to stderr. */
export class CommandFailedError extends Error {
  readonly code = 'ERR_SNAPSAFE_VM_COMMAND'
  override readonly name = 'CommandFailedError'
  readonly stderr: string

  constructor(message: string, stderr: string) {
    super(message)
    this.stderr = stderr
  }
}

/** How `runCommand` runs its command. */
export interface RunCommandOptions {
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Default five minutes; the command is killed then. */
  timeoutMs?: number
  signal?: AbortSignal | undefined
}

/** Runs a command of this machine without a shell and resolves with its stdout. Rejects unless it exits with 0. */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: RunCommandOptions = {},
): Promise<Buffer> {
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    ...(options.signal ? { signal: options.signal } : {}),
  })
  const [stdout, stderr, ended] = await Promise.all([
    collect(child.stdout),
    collect(child.stderr),
    new Promise<string>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => resolve(signal ?? String(code)))
    }),
  ])
  if (ended === '0') return stdout
  const words = stderr.toString('utf8').trim()
  const why = ended === 'SIGKILL' ? `was killed, perhaps after its ${timeoutMs} ms` : `ended with ${ended}`
  throw new CommandFailedError(
    `${command} ${args.slice(-3).join(' ')} ${why}: ${words.slice(-quotedChars)}`,
    words,
  )
}

async function collect(stream: NodeJS.ReadableStream): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stream) {
    bytes += (chunk as Buffer).length
    if (bytes > maxOutputBytes) throw new RangeError(`a command wrote more than ${maxOutputBytes} bytes`)
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks)
}
