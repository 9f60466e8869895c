import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { canDrawInPlace, cut, drawEveryMs, LiveTable } from './live-table.ts'

const esc = '\u001b'
const open = `${esc}[?7l\r`
const close = `${esc}[?7h`
const line = (text: string): string => `${esc}[2K${text}\n`

/** A terminal that keeps what it is sent, a text for each write. */
class Recorder {
  columns = 20
  rows = 10
  readonly writes: string[] = []
  write(text: string): void {
    this.writes.push(text)
  }
}

let terminal: Recorder
let shown: string[]
let live: LiveTable | undefined
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  terminal = new Recorder()
  shown = ['head', 'a', 'b']
})
afterEach(() => {
  live?.end()
  live = undefined
  vi.useRealTimers()
})

function start(): void {
  live = new LiveTable(terminal, () => shown)
}

/** What is written in the next interval. */
function next(): string {
  const before = terminal.writes.length
  vi.advanceTimersByTime(drawEveryMs)
  return terminal.writes.slice(before).join('')
}

describe('a live table', () => {
  it('is drawn at once, with the cursor below', () => {
    start()
    expect(terminal.writes).toEqual([`${open}${line('head')}${line('a')}${line('b')}${close}`])
  })

  it('is drawn again over itself when it has changed', () => {
    start()
    shown = ['head', 'a', 'c']
    expect(next()).toBe(`${open}${esc}[3A${line('head')}${line('a')}${line('c')}${close}`)
  })

  it('writes nothing while nothing changes', () => {
    start()
    expect(next()).toBe('')
    shown = [...shown]
    expect(next()).toBe('')
  })

  it('erases the lines that are no more', () => {
    start()
    shown = ['head']
    expect(next()).toBe(`${open}${esc}[3A${line('head')}${esc}[J${close}`)
    shown = ['tail', 'a']
    expect(next()).toBe(`${open}${esc}[1A${line('tail')}${line('a')}${close}`)
  })

  it('is written at most ten times a second, however often it changes', () => {
    start()
    let changes = 0
    live?.end()
    terminal.writes.length = 0
    live = new LiveTable(terminal, () => {
      changes += 1
      return [`${changes}`]
    })
    vi.advanceTimersByTime(1000)
    expect(terminal.writes).toHaveLength(11)
    expect(drawEveryMs).toBe(100)
  })

  it('is cut to the width of the terminal, which may change', () => {
    shown = ['a line that is too long for it']
    start()
    expect(terminal.writes.join('')).toBe(`${open}${line('a line that is too …')}${close}`)
    terminal.columns = 8
    expect(next()).toBe(`${open}${esc}[1A${line('a line …')}${close}`)
  })

  it('leaves out what does not fit the height, because no cursor gets back to it', () => {
    terminal.rows = 3
    start()
    expect(terminal.writes).toEqual([`${open}${line('head')}${line('a')}${close}`])
  })

  it('takes the usual size where the terminal says 0 by 0', () => {
    terminal.columns = 0
    terminal.rows = 0
    shown = Array.from({ length: 40 }, () => 'x'.repeat(100))
    start()
    expect(terminal.writes.join('').split('\n')).toHaveLength(24)
    expect(terminal.writes.join('')).toContain(line(`${'x'.repeat(79)}…`))
  })

  it('shows at its end what came last, and nothing after that', () => {
    start()
    shown = ['done']
    live?.end()
    expect(terminal.writes.at(-1)).toBe(`${open}${esc}[3A${line('done')}${esc}[J${close}`)
    const count = terminal.writes.length
    shown = ['after the end']
    vi.advanceTimersByTime(10 * drawEveryMs)
    expect(terminal.writes).toHaveLength(count)
  })

  it('leaves no mode of the terminal changed between two writes', () => {
    start()
    shown = ['other']
    next()
    for (const written of terminal.writes) {
      expect(written.split(`${esc}[?7l`)).toHaveLength(2)
      expect(written.endsWith(close)).toBe(true)
    }
  })
})

describe('cut', () => {
  it('counts characters, not the halves of those beyond the first plane', () => {
    expect(cut('😀😀😀', 3)).toBe('😀😀😀')
    expect(cut('😀😀😀', 2)).toBe('😀…')
  })
})

describe('lines are drawn in place', () => {
  const tty = { isTTY: true }
  it('on a terminal only, and not where it is dumb, unknown, or a log of a build', () => {
    expect(canDrawInPlace(tty, { TERM: 'xterm' })).toBe(true)
    expect(canDrawInPlace({}, { TERM: 'xterm' })).toBe(false)
    expect(canDrawInPlace(tty, { TERM: 'dumb' })).toBe(false)
    expect(canDrawInPlace(tty, {})).toBe(false)
    expect(canDrawInPlace(tty, { TERM: 'xterm', CI: 'true' })).toBe(false)
    expect(canDrawInPlace(tty, { TERM: 'xterm', CI: '' })).toBe(true)
  })
})
