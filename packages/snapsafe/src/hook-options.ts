import { basename } from 'node:path'
import { threadId } from 'node:worker_threads'
import type { Stage } from './protocol/interface.generated.ts'
import { stages } from './stages.ts'

/** setTimeout takes no more. */
const maxTimeoutMs = 2 ** 31 - 1
/** The daemon takes no more. */
const maxNameChars = 128
/** Names are shown on terminals and in logs. */
const unprintable = /\p{C}/u

let counter = 0

/** Throws RangeError for a time that no timer takes. */
export function checkTimeout(timeoutMs: number): void {
  if (timeoutMs > 0 && timeoutMs <= maxTimeoutMs) return
  throw new RangeError(
    `timeoutMs is ${timeoutMs}; it must be over 0 and at most ${maxTimeoutMs} milliseconds`,
  )
}

/** Throws TypeError or RangeError for a name that the daemon does not take. */
export function checkName(name: string): void {
  if (typeof name !== 'string') throw new TypeError('the name of a hook must be a string')
  if (name.length > 0 && name.length <= maxNameChars && !unprintable.test(name)) return
  throw new RangeError(`the name of a hook must have 1 to ${maxNameChars} printable characters`)
}

/** Throws RangeError for anything that is no stage. */
export function checkStage(stage: Stage): void {
  if (stages.includes(stage)) return
  throw new RangeError(`stage is ${stage}; it must be one of ${stages.join(', ')}`)
}

/** A name for a hook that was given none: the program, its thread, and a number that counts. */
export function nextName(): string {
  counter += 1
  const suffix = threadId === 0 ? `#${counter}` : `/${threadId}#${counter}`
  const program = basename(process.argv[1] ?? process.execPath).slice(0, maxNameChars - suffix.length)
  return program.replaceAll(/\p{C}/gu, '?') + suffix
}
