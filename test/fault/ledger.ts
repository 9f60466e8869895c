import type { LogEntry } from 'snapsafe/protocol'
import { expect } from 'vitest'

/** What a script has asked of the daemon since it began, and what it was shown: the bounds of what may have happened. */
export class Ledger {
  readonly base: number
  readonly sinceUsec: number
  bumpsSent = 0
  bumpsAnswered = 0
  /** The restore that was named, whether or not anybody has answered. */
  restoreId: string | undefined
  /** Resume said, or left it to the daemon to find out, that this is no copy. */
  resumedAsOriginal = false
  /** Quiesce was called. */
  quiesceSent = false
  /** What the daemon had on record was lost while it was quiesced. */
  isRecordLost = false
  /** The quiesced phase was seen: the generation, and the step at which the workload stood still. */
  frozenAt: { readonly generation: number; readonly step: number } | undefined

  constructor(base: number, sinceUsec: number) {
    this.base = base
    this.sinceUsec = sinceUsec
  }

  /**
   * Every restore that was declared since is one generation, and no generation is without one. What was answered has
   * happened, what was asked has happened once at most, and a named restore once, because it was named until there was an
   * answer. The daemon itself declares one where it died, or was left alone, while the workload was frozen; what the host says
   * of that one afterwards is no other.
   */
  check(generation: number, log: readonly LogEntry[]): void {
    const { bumpsSent, bumpsAnswered, restoreId, frozenAt, quiesceSent, resumedAsOriginal } = this
    const declared = this.#declaredIn(log)
    const from = (source: string): number => declared.filter((sign) => sign.startsWith(`${source}:`)).length
    expect(generation - this.base, `generations for ${declared.join('; ') || 'no restore'}`).toBe(
      declared.length - this.#lateWordsIn(log),
    )
    expect(from('command'), 'bumps').toBeGreaterThanOrEqual(bumpsAnswered)
    expect(from('command'), 'bumps').toBeLessThanOrEqual(bumpsSent)
    expect(from('host'), 'restores that the host named').toBe(restoreId === undefined ? 0 : 1)
    expect(from('page'), 'restores because of a page that nobody knew').toBe(this.isRecordLost ? 1 : 0)
    expect(from('daemon'), 'restores by a daemon that left a workload frozen').toBeLessThanOrEqual(
      quiesceSent ? 1 : 0,
    )
    const isSettled = restoreId !== undefined || bumpsSent > 0 || resumedAsOriginal || this.isRecordLost
    if (frozenAt && !isSettled) expect(from('daemon'), 'restores of a workload left frozen').toBe(1)
    for (const { evidence, steps } of log) {
      const isLeftFrozen = evidence.some(
        ({ source, atUsec }) => source === 'daemon' && atUsec >= this.sinceUsec,
      )
      if (isLeftFrozen) expect(steps.map(({ step }) => step)).toContain('frozen')
    }
  }

  /** How often the host has spoken of a restore that the daemon had declared by itself. */
  #lateWordsIn(log: readonly LogEntry[]): number {
    return log.filter(({ evidence }) => {
      const sources = evidence.filter(({ atUsec }) => atUsec >= this.sinceUsec).map(({ source }) => source)
      return sources.indexOf('daemon') !== -1 && sources.indexOf('daemon') < sources.indexOf('host')
    }).length
  }

  /** The signs of restores that came since, each once. */
  #declaredIn(log: readonly LogEntry[]): string[] {
    const signs = log
      .flatMap(({ evidence }) => evidence)
      .filter(({ atUsec }) => atUsec >= this.sinceUsec)
      .map(({ source, detail, atUsec }) => `${source}: ${detail} at ${atUsec}`)
    return [...new Set(signs)]
  }
}
