import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import type { DaemonProcess } from './daemon-process.ts'
import { LibraryProgram } from './library-program.ts'

const source = `
import { ProtectedMemory } from 'snapsafe'

const memory = ProtectedMemory.create(4096)
const look = () => ({ state: memory.state, protectedByDaemon: memory.protectedByDaemon })
const commands = {
  async register() { await memory.registered; return look() },
  write({ text }) { memory.write(Buffer.from(text)); return look() },
  use({ length }) { return { text: memory.use((secret) => Buffer.from(secret.subarray(0, length)).toString()) } },
  look,
  close() { memory.close(); return look() },
}
await listen(async (command) => {
  try { say(await commands[command.do](command)) }
  catch ({ code, message }) { say({ code, message }) }
})
`

/** A program that holds a secret in protected memory. */
export class MemoryProgram extends LibraryProgram {
  constructor({ runtimeDir }: Pick<DaemonProcess, 'runtimeDir'>) {
    super(source, { runtimeDir })
  }

  /** Puts a secret in, and resolves when the daemon protects it. */
  async hold(text: string): Promise<void> {
    const held = { ...(await this.ask({ do: 'register' })), ...(await this.ask({ do: 'write', text })) }
    if (held.state !== 'intact' || !held.protectedByDaemon)
      throw new Error(`not held: ${JSON.stringify(held)}`)
  }

  /** The whole of the protected memory as the kernel shows it, whether or not the program is running. */
  memory(): Buffer {
    const maps = readFileSync(`/proc/${this.pid}/maps`, 'utf8')
    const range = /^([0-9a-f]+)-([0-9a-f]+) .*\/memfd:snapsafe/m.exec(maps)
    if (!range) throw new Error(`there is no protected memory in\n${maps}`)
    const [begin, end] = range.slice(1).map((digits) => Number.parseInt(digits, 16)) as [number, number]
    const bytes = Buffer.alloc(end - begin)
    const fd = openSync(`/proc/${this.pid}/mem`, 'r')
    try {
      readSync(fd, bytes, 0, bytes.length, begin)
    } finally {
      closeSync(fd)
    }
    return bytes
  }
}
