import { IdlSyntaxError } from './idl-syntax-error.ts'

/**
 * Walks over interface text. Every method first skips white space and comments; only `takeDocs` keeps what the
 * comments say, so it is called right before a member, field or enum value is read.
 */
export class Scanner {
  readonly #text: string
  #offset = 0

  constructor(text: string) {
    this.#text = text
  }

  /** Skips to the next token and returns its offset. */
  position(): number {
    this.takeDocs()
    return this.#offset
  }

  /**
   * The comment block right above the next token, '' if there is none. A blank line ends a block: what stands
   * above it (a licence, a heading) documents nothing.
   */
  takeDocs(): string {
    let lines: string[] = []
    for (;;) {
      const space = this.#match(/\s+/y)
      if (space !== undefined && space.split('\n').length > 2) lines = []
      const comment = this.#match(/#[^\r\n]*/y)
      if (comment !== undefined) lines.push(comment.replace(/^# ?/, '').trimEnd())
      else if (space === undefined) return lines.join('\n')
    }
  }

  atEnd(): boolean {
    return this.position() === this.#text.length
  }

  /** Consumes `literal` if it is next. */
  accept(literal: string): boolean {
    if (!this.#text.startsWith(literal, this.position())) return false
    this.#offset += literal.length
    return true
  }

  expect(literal: string): void {
    if (!this.accept(literal)) this.fail(`expected '${literal}', found ${this.#found()}`)
  }

  /** Consumes and returns what `pattern` (sticky) matches. */
  take(pattern: RegExp, what: string): string {
    this.position()
    return this.#match(pattern) ?? this.fail(`expected ${what}, found ${this.#found()}`)
  }

  /** Throws an IdlSyntaxError that names the line and column of `offset`, by default the current one. */
  fail(problem: string, offset: number = this.#offset): never {
    const before = this.#text.slice(0, offset)
    const line = before.split('\n').length
    throw new IdlSyntaxError(problem, line, offset - before.lastIndexOf('\n'))
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#offset
    const found = pattern.exec(this.#text)?.[0]
    if (found !== undefined) this.#offset += found.length
    return found
  }

  #found(): string {
    const next = /\w+|[^\s]/y
    next.lastIndex = this.#offset
    const found = next.exec(this.#text)?.[0]
    return found === undefined ? 'the end of the text' : `'${found}'`
  }
}
