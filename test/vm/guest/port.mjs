import { open, readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

const portsFolder = '/sys/class/virtio-ports'
const findTimeoutMs = 10_000
/** How long to wait while no host is connected: read() returns 0 at once then. */
const retryMs = 20
const readBytes = 64 * 1024
const maxLineBytes = 64 * 1024 * 1024

/** Opens the virtio-serial port with this name for JSON lines. */
export async function openPort(name) {
  const handle = await open(await devicePath(name), 'r+')
  let writing = Promise.resolve()

  return {
    /** Queues one message. A write blocks, in its thread, while no host is connected. */
    send(message) {
      writing = writing.then(() => handle.writeFile(`${JSON.stringify(message)}\n`))
      // A port that cannot be written to leaves nobody to tell; the console log is all there is.
      writing.catch((error) => console.log(`agent: ${error.message}`))
    },

    /** Yields each line without its end. A line that grows too long ends the agent. */
    async *lines() {
      const buffer = Buffer.alloc(readBytes)
      let parts = []
      let partBytes = 0
      for (;;) {
        const { bytesRead } = await handle.read(buffer, 0, readBytes, null)
        if (bytesRead === 0) {
          await sleep(retryMs)
          continue
        }
        const chunk = Buffer.from(buffer.subarray(0, bytesRead))
        let from = 0
        for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
          const line = Buffer.concat([...parts, chunk.subarray(from, end)]).toString('utf8')
          parts = []
          partBytes = 0
          from = end + 1
          yield line
        }
        parts.push(chunk.subarray(from))
        partBytes += chunk.length - from
        if (partBytes > maxLineBytes) throw new RangeError(`a request exceeds ${maxLineBytes} bytes`)
      }
    },
  }
}

async function devicePath(name) {
  const deadline = performance.now() + findTimeoutMs
  while (performance.now() < deadline) {
    for (const port of await readdir(portsFolder).catch(() => [])) {
      const found = await readFile(`${portsFolder}/${port}/name`, 'utf8').catch(() => '')
      if (found.trim() === name) return `/dev/${port}`
    }
    await sleep(retryMs)
  }
  throw new Error(`no virtio-serial port ${name} appeared: is virtio_console loaded?`)
}
