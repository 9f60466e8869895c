import { uptime } from 'node:os'
import { loadNative } from 'snapsafe/native'

/** Now, in the microseconds of CLOCK_BOOTTIME that the interface speaks of; without the addon, to a hundredth of a second. */
export function bootTimeUsec(): number {
  const { addon } = loadNative()
  return addon ? Number(addon.bootTimeNs() / 1000n) : Math.round(uptime() * 1e6)
}

/** `2.1 s`. Never negative: what is over is `0.0 s`. */
export function seconds(usec: number): string {
  return `${(Math.max(0, usec) / 1e6).toFixed(1)} s`
}

/** `12.3 ms`. Never negative. */
export function milliseconds(usec: number): string {
  return `${(Math.max(0, usec) / 1e3).toFixed(1)} ms`
}

/** A moment, as `123.456789 s after boot`. */
export function afterBoot(atUsec: number): string {
  return `${(atUsec / 1e6).toFixed(6)} s after boot`
}
