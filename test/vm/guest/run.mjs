import { spawn } from 'node:child_process'

const maxOutputBytes = 4 * 1024 * 1024
/** What a program left running in the background may keep stdout open; the rest of it is not waited for. */
const closeGraceMs = 300

/** Spawn options for a request's `env`, `uid` and `cwd`. Without a uid the program runs as root. */
export function spawnOptions({ env = {}, uid, cwd = '/' }) {
  const user = uid === undefined || uid === 0 ? {} : { uid, gid: uid }
  const home = uid === undefined || uid === 0 ? '/root' : '/home/user'
  return { cwd, env: { PATH: process.env.PATH, HOME: home, ...env }, ...user }
}

/** Runs a program to its end. Its output is cut at 4 MiB each; at the deadline its process group is killed. */
export async function run({ argv, input, timeoutMs, ...options }) {
  const [command, ...args] = argv
  const child = spawn(command, args, { ...spawnOptions(options), stdio: 'pipe', detached: true })
  const stdout = collect(child.stdout)
  const stderr = collect(child.stderr)
  // A program that ends without reading its input is its own affair.
  child.stdin.on('error', () => {})
  child.stdin.end(input ?? '')
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    killGroup(child.pid)
  }, timeoutMs)
  try {
    const [code, signal] = await ended(child)
    const truncated = stdout.truncated || stderr.truncated
    return { code, signal, stdout: stdout.text(), stderr: stderr.text(), timedOut, truncated }
  } finally {
    clearTimeout(timer)
  }
}

function ended(child) {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve([code, signal]))
    child.once('exit', (code, signal) => setTimeout(() => resolve([code, signal]), closeGraceMs))
  })
}

function collect(stream) {
  const chunks = []
  const collected = { bytes: 0, truncated: false, text: () => Buffer.concat(chunks).toString('utf8') }
  stream.on('data', (chunk) => {
    const room = maxOutputBytes - collected.bytes
    if (chunk.length > room) collected.truncated = true
    chunks.push(chunk.subarray(0, Math.max(room, 0)))
    collected.bytes += Math.min(chunk.length, Math.max(room, 0))
  })
  return collected
}

function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has just ended.
  }
}
