import { styleText } from 'node:util'
import { sharedValues, type Values } from '../scenarios/equal-values.ts'
import type { CloneReport, UnplannedCloneResult } from '../scenarios/unplanned-clone.ts'

/** How many values of a sequence are shown; the count is of all of them. */
const shownPerKind = 2
const cellChars = 36
const kindChars = 16

/** The result for people: what each clone gave out, side by side, with what is found in both marked. */
export function renderDemo(result: UnplannedCloneResult, color: boolean): string {
  const paint = (style: 'red' | 'green' | 'bold', text: string) => (color ? styleText(style, text) : text)
  const lines: string[] = []
  for (const program of ['ordinary', 'guarded'] as const) {
    const title =
      program === 'ordinary'
        ? 'An ordinary program'
        : 'The same program with snapsafe, asked once its clone was ready'
    lines.push(paint('bold', title), '')
    const values = result.clones.map((clone) => clone.values[program])
    lines.push(
      row(
        '',
        result.clones.map((_, index) => `clone ${index + 1}`),
      ),
    )
    for (const kind of Object.keys(values[0] ?? {})) lines.push(...renderKind(kind, values, paint), '')
  }
  lines.push(...result.clones.map(describeClone), '', verdict(result, paint))
  return lines.join('\n')
}

function renderKind(
  kind: string,
  clones: readonly Values[],
  paint: (style: 'red' | 'green', text: string) => string,
): string[] {
  const shared = sharedValues(clones, kind)
  const total = clones[0]?.[kind]?.length ?? 0
  const lines: string[] = []
  for (let index = 0; index < Math.min(shownPerKind, total); index++) {
    const cells = clones.map((values) => values[kind]?.[index] ?? '')
    const same = cells.some((cell) => shared.has(cell))
    // The tail of a private key: its head is the same in all keys of a type.
    const text = row(
      index === 0 ? kind : '',
      cells.map((cell) => cell.slice(-cellChars)),
    )
    lines.push(`${text}${same ? paint('red', '  <- SAME') : ''}`)
  }
  const count = `${shared.size} of ${total} in more than one clone`
  lines.push(row('', [shared.size > 0 ? paint('red', count) : paint('green', count)]))
  return lines
}

function row(head: string, cells: readonly string[]): string {
  return `  ${head.padEnd(kindChars)}${cells.map((cell) => cell.padEnd(cellChars + 2)).join('')}`.trimEnd()
}

function describeClone(clone: CloneReport, index: number): string {
  const confirmed = clone.watchers.filter(({ tracked, owing }) => tracked && owing === 'no')
  const names = confirmed.map(({ name, pid }) => `${name} (pid ${pid})`).join(', ')
  const evidence = clone.evidence.map(({ source }) => source).join(', ')
  return [
    `clone ${index + 1}: generation ${clone.before.generation} -> ${clone.after.generation}, id ${clone.after.generationId}, seen by ${evidence};`,
    `         ready ${Math.round(clone.adjustingMs)} ms after the page changed (emulated CPU); confirmed by ${names}`,
  ].join('\n')
}

function verdict(
  result: UnplannedCloneResult,
  paint: (style: 'red' | 'green', text: string) => string,
): string {
  if (!result.ok) return paint('red', ['NOT as it should be:', ...result.problems].join('\n  '))
  const repeated = Object.values(result.equal.ordinary).reduce((sum, count) => sum + count, 0)
  return paint(
    'green',
    `The ordinary program gave out ${repeated} values in more than one clone; the guarded one gave out none.`,
  )
}
