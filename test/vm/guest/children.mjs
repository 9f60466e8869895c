import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { createOutput } from './output.mjs'
import { spawnOptions } from './run.mjs'

const maxChildren = 64

/** The operations on long-running programs, each known by the name that `start` gives it. */
export function createChildren() {
  const children = new Map()

  const find = (name) => {
    const entry = children.get(name)
    if (!entry) throw new Error(`no program ${name} was started`)
    return entry
  }

  return {
    /** Starts a program; a name can be used again once its program has ended. */
    async start({ name, argv, ...options }) {
      const earlier = children.get(name)
      if (earlier && !earlier.exit) throw new Error(`${name} is running already`)
      if (!earlier && children.size >= maxChildren) throw new Error(`more than ${maxChildren} programs`)
      const [command, ...args] = argv
      const child = spawn(command, args, { ...spawnOptions(options), stdio: 'pipe' })
      const entry = { child, output: createOutput(name), asked: Promise.resolve(), exit: undefined }
      child.stdin.on('error', () => {})
      createInterface({ input: child.stdout }).on('line', (text) => entry.output.add('stdout', text))
      createInterface({ input: child.stderr }).on('line', (text) => entry.output.add('stderr', text))
      child.once('close', (code, signal) => {
        entry.exit = { code, signal }
        entry.output.end(`${name} ended with ${signal ?? code}`)
      })
      await once(child, 'spawn')
      children.set(name, entry)
      return { pid: child.pid }
    },

    /**
     * Writes a line to the program and resolves with its next line on stdout. One question at a time for each program: the
     * next waits until this one is answered, also after its deadline, so that answers are never taken for another's.
     */
    async ask({ name, line, timeoutMs }) {
      const entry = find(name)
      const answer = entry.asked.then(() => askNow(entry, line))
      entry.asked = answer.then(
        () => {},
        () => {},
      )
      return (await within(answer, timeoutMs, `${name} has not answered ${JSON.stringify(line)}`)).text
    },

    /** Resolves with the first line, on stdout or stderr, from index `from` on that contains `text`. */
    async waitLine({ name, text, from = 0, timeoutMs }) {
      const matches = (line) => line.index >= from && line.text.includes(text)
      return await within(
        find(name).output.wait(matches),
        timeoutMs,
        `${name} has no line with ${JSON.stringify(text)}`,
      )
    },

    /** The latest lines of the program. */
    async lines({ name }) {
      return find(name).output.kept()
    },

    /** Sends a signal (default SIGTERM) to the program alone and resolves with how it ended. */
    async stop({ name, kill = 'SIGTERM', timeoutMs }) {
      const entry = find(name)
      if (!entry.exit) entry.child.kill(kill)
      return await waitExit(entry, name, timeoutMs)
    },

    /** Sends a signal and does not wait. */
    async kill({ name, kill }) {
      find(name).child.kill(kill)
    },

    /** Resolves with `{code, signal}` when the program has ended and its output is complete. */
    async waitExit({ name, timeoutMs }) {
      return await waitExit(find(name), name, timeoutMs)
    },
  }
}

async function askNow(entry, line) {
  const from = entry.output.next()
  entry.child.stdin.write(`${line}\n`)
  return await entry.output.wait((found) => found.index >= from && found.stream === 'stdout')
}

async function waitExit(entry, name, timeoutMs) {
  if (!entry.exit) await within(once(entry.child, 'close'), timeoutMs, `${name} has not ended`)
  return entry.exit
}

async function within(promise, timeoutMs, complaint) {
  let timer
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${complaint} after ${timeoutMs} ms`)), timeoutMs)
  })
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
