import { spawn } from 'node:child_process'
import { createConnection } from 'node:net'
import { Duplex } from 'node:stream'
import { interfaceName } from 'snapsafe/protocol'
import type { User } from './command-process.ts'
import { before } from './daemon-process.ts'

const replyDeadlineMs = 15_000
/** Connects, and hands on what comes from either side. */
const relay = `
const socket = require('node:net').connect(process.argv[1])
socket.on('error', () => process.exit(1))
socket.on('close', () => process.exit(0))
process.stdout.on('error', () => process.exit(0))
process.stdin.pipe(socket).pipe(process.stdout)
`

export interface RawReply {
  readonly error?: string
  readonly continues?: boolean
  // biome-ignore lint/suspicious/noExplicitAny: what a reply holds is what the tests look at
  readonly parameters: any
}

/** The other end of a socket, without a client's good manners: sends any bytes, reads or does not. */
export class RawPeer {
  /** Resolves when the service has closed the connection. */
  readonly closed: Promise<void>
  readonly #stream: Duplex
  readonly #replies: RawReply[] = []
  #text = ''
  #wake: () => void = () => {}
  #isClosed = false

  /** From this very process. */
  static connect(socket: string): RawPeer {
    return new RawPeer(createConnection(socket))
  }

  /** From a process of its own: another pid, and another user where one is given. */
  static connectAs(user: User, socket: string): RawPeer {
    const child = spawn(process.execPath, ['-e', relay, socket], {
      stdio: ['pipe', 'pipe', 'inherit'],
      cwd: '/',
      ...user,
    })
    const pipes = Duplex.from({ readable: child.stdout, writable: child.stdin })
    pipes.once('close', () => child.kill('SIGKILL'))
    return new RawPeer(pipes)
  }

  private constructor(stream: Duplex) {
    this.#stream = stream
    stream.setEncoding('utf8').on('data', (text: string) => this.#take(text))
    stream.on('error', () => undefined)
    this.closed = new Promise((resolve) => {
      const closed = (): void => {
        this.#isClosed = true
        this.#wake()
        resolve()
      }
      stream.once('end', closed).once('close', closed)
    })
  }

  /** Sends bytes as they are. */
  send(bytes: string | Uint8Array): void {
    this.#stream.write(bytes)
  }

  /** Sends a call of the interface, or of another one where the method has a dot in it. */
  sendCall(method: string, parameters?: unknown, flags: { more?: boolean } = {}): void {
    const name = method.includes('.') ? method : `${interfaceName}.${method}`
    this.send(`${JSON.stringify({ method: name, parameters, ...flags })}\0`)
  }

  /** Sends a call, and resolves with the next reply. */
  async call(method: string, parameters: unknown = {}, flags: { more?: boolean } = {}): Promise<RawReply> {
    this.sendCall(method, parameters, flags)
    return this.next()
  }

  /** The next reply; rejects when the connection ends without one, and after a deadline. */
  async next(): Promise<RawReply> {
    const arrived = async (): Promise<RawReply> => {
      for (;;) {
        const reply = this.#replies.shift()
        if (reply) return reply
        if (this.#isClosed) throw new Error('the service closed the connection without a reply')
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
    return before(arrived(), replyDeadlineMs, () => 'no reply came')
  }

  /** Leaves all that comes from now on unread. */
  stopReading(): void {
    this.#stream.pause()
  }

  /** Reads again, and what was left unread first. */
  readOn(): void {
    this.#stream.resume()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stream.destroy()
  }

  #take(text: string): void {
    const frames = (this.#text + text).split('\0')
    this.#text = frames.pop() ?? ''
    this.#replies.push(...frames.map((frame) => ({ parameters: {}, ...JSON.parse(frame) })))
    this.#wake()
  }
}
