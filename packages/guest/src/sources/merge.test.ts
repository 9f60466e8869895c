import { describe, expect, it } from 'vitest'
import { absorbWindowUsec, type MergeState, merge } from './merge.ts'
import type { SourceEvidence, SourceKind } from './source.ts'

const sources = ['kmsg', 'guid', 'acpi']

/** Plays signs, each `[source, at]`, and gives the verdicts. */
function verdicts(...signs: [source: string, atUsec: number, kind?: SourceKind][]): string[] {
  let state: MergeState = new Map()
  return signs.map(([source, atUsec, kind = 'edge']) => {
    const evidence: SourceEvidence = { source, kind, cause: 'clone', detail: '', kernelReseeded: true }
    const merged = merge(state, evidence, sources, atUsec)
    state = merged.state
    return merged.verdict
  })
}

describe('merging', () => {
  it('makes one restore of what several sources say of it', () => {
    expect(verdicts(['kmsg', 0], ['guid', 10], ['acpi', 20])).toEqual(['restore', 'absorbed', 'absorbed'])
  })

  it('makes two of a second sign of the same source, however soon', () => {
    expect(verdicts(['kmsg', 0], ['kmsg', 1])).toEqual(['restore', 'restore'])
  })

  it('absorbs one sign of each source for each of two restores', () => {
    const seen = verdicts(['kmsg', 0], ['kmsg', 100], ['guid', 200], ['guid', 300], ['guid', 400])
    expect(seen).toEqual(['restore', 'restore', 'absorbed', 'absorbed', 'restore'])
  })

  it('takes a sign that comes after the window for a restore of its own', () => {
    expect(verdicts(['kmsg', 0], ['guid', absorbWindowUsec])).toEqual(['restore', 'absorbed'])
    expect(verdicts(['kmsg', 0], ['guid', absorbWindowUsec + 1])).toEqual(['restore', 'restore'])
  })

  it('never merges a command with anything', () => {
    const seen = verdicts(
      ['command', 0, 'command'],
      ['kmsg', 1],
      ['command', 2, 'command'],
      ['command', 3, 'command'],
    )
    expect(seen).toEqual(['restore', 'restore', 'restore', 'restore'])
  })
})
