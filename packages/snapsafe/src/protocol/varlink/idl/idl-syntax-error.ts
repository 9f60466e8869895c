/** The interface text is not valid. `line` and `column` count from 1; the column counts UTF-16 units. */
export class IdlSyntaxError extends Error {
  override readonly name = 'IdlSyntaxError'
  readonly code = 'ERR_SNAPSAFE_VARLINK_IDL_SYNTAX'
  readonly line: number
  readonly column: number

  constructor(problem: string, line: number, column: number) {
    super(`interface text, line ${line}, column ${column}: ${problem}`)
    this.line = line
    this.column = column
  }
}
