/** A program that runs another one on a terminal of its own: standard input and error are the terminal, output is not. */
export function onTerminal(columns: number, rows: number): [string, ...string[]] {
  return ['python3', '-c', runner, `${columns}`, `${rows}`]
}

/**
 * What comes from the terminal goes to standard error, and standard input to the terminal, where \\x03 is Ctrl-C. When this
 * program ends the terminal hangs up, so the other one never outlives it.
 */
const runner = `
import fcntl, os, pty, select, struct, subprocess, sys, termios
columns, rows = int(sys.argv[1]), int(sys.argv[2])
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
child = subprocess.Popen(sys.argv[3:], stdin=slave, stderr=slave, start_new_session=True,
    preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
os.close(slave)
sources = [master, 0]
while True:
    for source in select.select(sources, [], [])[0]:
        try:
            data = os.read(source, 65536)
        except OSError:
            data = b''
        if source == master and not data:
            code = child.wait()
            sys.exit(code if code >= 0 else 128 - code)
        if not data:
            sources.remove(source)
        elif source == master:
            sys.stderr.buffer.write(data)
            sys.stderr.buffer.flush()
        else:
            os.write(master, data)
`

/** What a terminal shows after it was sent this. Knows the sequences of a live table, and refuses any other. */
export function screenOf(bytes: string): string[] {
  const screen = ['']
  let row = 0
  let column = 0
  const put = (character: string): void => {
    const line = [...(screen[row] ?? '').padEnd(column)]
    line[column] = character
    screen[row] = line.join('')
    column += 1
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  for (const [token] of bytes.matchAll(/\u001b\[\??\d*[A-Za-z]|./gsu)) {
    if (token.startsWith('\u001b[') && token.endsWith('A'))
      row = Math.max(0, row - Number(token.slice(2, -1)))
    else if (token === '\u001b[2K') screen[row] = ''
    else if (token === '\u001b[J') {
      screen[row] = (screen[row] ?? '').slice(0, column)
      screen.length = row + 1
    } else if (token === '\r') column = 0
    else if (token === '\n') {
      row += 1
      screen[row] ??= ''
    } else if (token !== '\u001b[?7l' && token !== '\u001b[?7h') {
      if (token < ' ') throw new Error(`${JSON.stringify(token)} is not known here`)
      put(token)
    }
  }
  return screen
}
