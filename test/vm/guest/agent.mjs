// Runs inside a test guest as the child of /init: carries out what the host asks for, in JSON lines over a virtio-serial
// port. It must live through a snapshot and the restore of many clones; what was half said before is dropped by the host's
// `resync`. Plain JavaScript, because the guest has Node and nothing else.
import { createChildren } from './children.mjs'
import { readFile, waitFile, writeFile } from './files.mjs'
import { openPort } from './port.mjs'
import { run } from './run.mjs'

const portName = 'snapsafe.agent'
const maxInFlight = 64

const children = createChildren()
const operations = {
  // The first thing on each connection. Whatever came before it, in either direction, belongs to an earlier connection.
  resync: async () => ({ pid: process.pid }),
  ping: async () => ({ pid: process.pid, uptimeMs: Math.round(performance.now()) }),
  exec: run,
  readFile,
  writeFile,
  waitFile,
  ...children,
}

const port = await openPort(portName)
let inFlight = 0
console.log('agent: ready')
for await (const line of port.lines()) {
  const request = parse(line)
  if (request) void answer(request)
}

/** @param {string} line */
function parse(line) {
  if (line.trim() === '') return undefined
  try {
    return JSON.parse(line)
  } catch {
    // The end of a request that was being sent when the snapshot was taken.
    console.log(`agent: dropped ${line.length} characters that are no request`)
    return undefined
  }
}

async function answer({ id, op, ...args }) {
  inFlight += 1
  try {
    const operation = Object.hasOwn(operations, op) ? operations[op] : undefined
    if (!operation) throw new Error(`the agent has no operation ${op}`)
    if (inFlight > maxInFlight) throw new Error(`more than ${maxInFlight} requests in flight`)
    port.send({ id, result: (await operation(args)) ?? null })
  } catch (error) {
    port.send({ id, error: { message: error.message, code: error.code } })
  } finally {
    inFlight -= 1
  }
}
