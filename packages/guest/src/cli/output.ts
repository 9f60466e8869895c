/** Where a command's results go: standard output, in one of two forms. Progress and errors go to standard error. */
export interface Output {
  readonly json: boolean
  /** One result: a line of JSON, or the text. */
  result(value: object, text: string): void
  /** On standard error, as warnings are. */
  progress(text: string): void
  warn(text: string): void
}

export function outputFor(json: boolean): Output {
  return {
    json,
    result: (value, text) => process.stdout.write(`${json ? JSON.stringify(value) : text}\n`),
    progress: (text) => process.stderr.write(`${text}\n`),
    warn: (text) => process.stderr.write(`snapsafe: warning: ${text}\n`),
  }
}

/** Rows as aligned columns; the first row is the head. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length)
  }
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
