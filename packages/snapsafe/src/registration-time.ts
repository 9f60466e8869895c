import { loadNative } from './native.ts'

let lastUsec = 0

/**
 * When something is registered now: microseconds of CLOCK_BOOTTIME, more for each that comes later, by which the daemon keeps
 * the order of registration when a connection was lost. Without the addon, of the clock that does not count suspension.
 */
export function nextRegistrationUsec(): number {
  const nowNs = loadNative().addon?.bootTimeNs() ?? process.hrtime.bigint()
  lastUsec = Math.max(lastUsec + 1, Number(nowNs / 1000n))
  return lastUsec
}
