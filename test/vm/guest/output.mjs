const keptLines = 1000

/** Keeps the latest lines of a program and lets others wait for a line. Lines on stderr go to the console as well. */
export function createOutput(name) {
  const lines = []
  const waiters = new Set()
  let count = 0
  let ended

  return {
    add(stream, text) {
      const line = { index: count, stream, text }
      count += 1
      lines.push(line)
      if (lines.length > keptLines) lines.shift()
      if (stream === 'stderr') console.log(`[${name}] ${text}`)
      for (const waiter of waiters) waiter.look(line)
    },

    /** The program has ended: nobody waits any longer. */
    end(reason) {
      ended = reason
      for (const waiter of waiters) waiter.fail(new Error(reason))
    },

    /** The index that the next line will have. */
    next: () => count,

    kept: () => lines,

    /** Resolves with the first line, kept or to come, that `matches`; rejects when the program ends without one. */
    wait(matches) {
      return new Promise((resolve, reject) => {
        const found = lines.find(matches)
        if (found) return resolve(found)
        if (ended !== undefined) return reject(new Error(ended))
        const settle = (act) => {
          waiters.delete(waiter)
          act()
        }
        const waiter = {
          look: (line) => matches(line) && settle(() => resolve(line)),
          fail: (error) => settle(() => reject(error)),
        }
        waiters.add(waiter)
      })
    },
  }
}
