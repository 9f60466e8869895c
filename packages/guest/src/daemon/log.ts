/** sd-daemon(3): the priorities that a service manager reads in front of a line. */
const priorities = { error: '<3>', warning: '<4>', info: '<6>' } as const

export interface Log {
  error(message: string): void
  warning(message: string): void
  info(message: string): void
}

/** Lines on standard error; with priorities where they go to the journal. */
export function stderrLog(env = process.env): Log {
  const write = (level: keyof typeof priorities) => (message: string) => {
    const prefix = env.JOURNAL_STREAM
      ? priorities[level]
      : `snapsafed: ${level === 'info' ? '' : `${level}: `}`
    process.stderr.write(`${message.replace(/^/gm, prefix)}\n`)
  }
  return { error: write('error'), warning: write('warning'), info: write('info') }
}
