/** At most ten times a second. */
export const drawEveryMs = 100
/** Where the terminal does not know its size. */
const usualColumns = 80
const usualRows = 24

/** ECMA-48 and DEC private modes, as every terminal of today has them. */
const control = {
  up: (lines: number) => `\u001b[${lines}A`,
  eraseLine: '\u001b[2K',
  eraseBelow: '\u001b[J',
  wrapOff: '\u001b[?7l',
  wrapOn: '\u001b[?7h',
}

/** What a table needs of a terminal; `process.stderr` is one. Its size is asked for at each drawing: it may change. */
export interface Terminal {
  readonly columns?: number
  readonly rows?: number
  write(text: string): unknown
}

/** Whether lines can be drawn in place: on a terminal that can move its cursor, and that a person looks at. */
export function canDrawInPlace(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv): boolean {
  return stream.isTTY === true && env.TERM !== undefined && env.TERM !== 'dumb' && !env.CI
}

/**
 * Lines on a terminal that are drawn again in place while they change. Each drawing is one write, leaves the cursor below the
 * lines and every mode of the terminal as it was: whoever is killed in between leaves nothing to put right.
 */
export class LiveTable {
  readonly #terminal: Terminal
  readonly #render: () => readonly string[]
  readonly #timer: NodeJS.Timeout
  #drawn: readonly string[] = []

  /** Draws what `render` returns, at once and then whenever that is different, until `end` is called. */
  constructor(terminal: Terminal, render: () => readonly string[]) {
    this.#terminal = terminal
    this.#render = render
    this.#draw()
    this.#timer = setInterval(() => this.#draw(), drawEveryMs).unref()
  }

  /** Draws a last time; the lines stay, with the cursor below. Ending twice is no error. */
  end(): void {
    clearInterval(this.#timer)
    this.#draw()
  }

  #draw(): void {
    const { columns, rows } = this.#terminal
    // The cursor cannot go back to a line that has left the screen, and needs one of its own.
    const lines = this.#render()
      .slice(0, Math.max(1, (rows || usualRows) - 1))
      .map((line) => cut(line, columns || usualColumns))
    const before = this.#drawn
    if (lines.length === before.length && lines.every((line, index) => line === before[index])) return
    this.#drawn = lines
    const back = before.length > 0 ? control.up(before.length) : ''
    const drawn = lines.map((line) => `${control.eraseLine}${line}\n`).join('')
    const rest = before.length > lines.length ? control.eraseBelow : ''
    // A line with characters of double width is longer than it was cut to; the terminal then cuts what is left.
    this.#terminal.write(`${control.wrapOff}\r${back}${drawn}${rest}${control.wrapOn}`)
  }
}

/** No more than so many characters; what is left out is shown by an ellipsis. */
export function cut(text: string, width: number): string {
  const characters = [...text]
  return characters.length <= width ? text : `${characters.slice(0, width - 1).join('')}…`
}
