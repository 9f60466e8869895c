import { once } from 'node:events'
import { closeSync, mkdtempSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { loadNative } from '../../native.ts'
import { type ProtocolViolationError, VarlinkError } from './errors.ts'
import { encodeFrame, FrameDecoder } from './frame.ts'
import { parseInterface } from './idl/parse-interface.ts'
import { dispatchTo } from './method-handlers.ts'
import type { ServerCall } from './server-call.ts'
import { ServerConnection } from './server-connection.ts'
import type { ServerConnectionOptions } from './server-options.ts'

const description = parseInterface(`interface org.example.Test
method Echo(text: string, times: ?int, tags: ?[string]bool) -> (text: string)
# [Requires 'more' flag]
method Count(to: int) -> (n: int)
method Hang() -> ()
method Unwritten() -> ()
error Refused (why: string)
error ProtocolError (reason: string)
error Internal ()
`)

const prefix = 'org.example.Test'
const service = { vendor: 'v', product: 'p', version: '1', url: 'u' }
type Handler = (call: ServerCall<never, object>) => Promise<void>

let folder: string
let server: Server | undefined
let peers: Socket[]
let connections: ServerConnection[]
/** The service's, of which `connections` are made. */
let sockets: Socket[]
const internalErrors: [unknown, string][] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'snapsafe-varlink-'))
  peers = []
  connections = []
  sockets = []
  internalErrors.length = 0
})

afterEach(() => {
  vi.useRealTimers()
  for (const peer of peers) peer.destroy()
  server?.close()
  rmSync(folder, { recursive: true })
})

const echo: Handler = async (call: ServerCall<{ text: string }>) => call.reply({ text: call.parameters.text })

const hang: Handler = (call) =>
  new Promise((_, reject) => {
    call.signal.addEventListener('abort', () => reject(call.signal.reason))
  })

/** Serves the handlers on a Unix socket and connects one raw peer. */
async function connectPeer(
  handlers: { [method: string]: Handler } = { Echo: echo, Hang: hang },
  options: Partial<ServerConnectionOptions> = {},
) {
  const path = join(folder, 'socket')
  const closed = deferred<Error | undefined>()
  server = createServer((socket) => {
    sockets.push(socket)
    connections.push(serve(socket, handlers, { onClose: closed.resolve, ...options }))
  })
  server.listen(path)
  await once(server, 'listening')
  const socket = createConnection(path)
  socket.on('error', () => {})
  peers.push(socket)
  await once(socket, 'connect')
  return new Peer(socket, closed.promise as Promise<ProtocolViolationError | undefined>)
}

function serve(
  socket: Socket,
  handlers: { [method: string]: Handler },
  options: Partial<ServerConnectionOptions>,
): ServerConnection {
  return new ServerConnection(socket, {
    interfaces: [description],
    service,
    dispatch: dispatchTo(handlers as never),
    internalErrorName: `${prefix}.Internal`,
    protocolErrorName: `${prefix}.ProtocolError`,
    onInternalError: (error, method) => internalErrors.push([error, method]),
    ...options,
  })
}

class Peer {
  readonly socket: Socket
  /** Why the server's side says that the connection closed. */
  readonly closed: Promise<ProtocolViolationError | undefined>
  readonly replies: object[] = []

  constructor(socket: Socket, closed: Promise<ProtocolViolationError | undefined>) {
    this.socket = socket
    this.closed = closed
    const decoder = new FrameDecoder({ maxMessageBytes: 1 << 24 })
    socket.on('data', (chunk: Buffer) => this.replies.push(...decoder.push(chunk).messages))
  }

  send(...messages: object[]): void {
    this.socket.write(Buffer.concat(messages.map(encodeFrame)))
  }

  call(method: string, parameters?: object, flags: object = {}): void {
    this.send({ method: `${prefix}.${method}`, parameters, ...flags })
  }

  async expectReplies(...expected: object[]): Promise<void> {
    await vi.waitFor(() => expect(this.replies.length).toBeGreaterThanOrEqual(expected.length), 4000)
    expect(this.replies).toEqual(expected)
  }
}

const error = (name: string, parameters: object) => ({ error: name, parameters })
const serviceError = (name: string, parameters: object = {}) =>
  error(`org.varlink.service.${name}`, parameters)

describe('the built-in interface', () => {
  test('GetInfo names the service and its interfaces', async () => {
    const peer = await connectPeer()
    peer.send({ method: 'org.varlink.service.GetInfo' })
    await peer.expectReplies({ parameters: { ...service, interfaces: ['org.varlink.service', prefix] } })
  })

  test('GetInterfaceDescription answers the text as it is', async () => {
    const peer = await connectPeer()
    const method = 'org.varlink.service.GetInterfaceDescription'
    peer.send({ method, parameters: { interface: prefix } }, { method, parameters: { interface: 'a.b' } })
    await peer.expectReplies(
      { parameters: { description: description.text } },
      serviceError('InterfaceNotFound', { interface: 'a.b' }),
    )
  })
})

describe('a call', () => {
  test('is answered by its handler', async () => {
    const peer = await connectPeer()
    peer.call('Echo', { text: 'x' })
    await peer.expectReplies({ parameters: { text: 'x' } })
  })

  test.each([
    ['an unknown interface', { method: 'no.such.Thing' }, 'InterfaceNotFound', { interface: 'no.such' }],
    ['an unknown method', { method: `${prefix}.Nope` }, 'MethodNotFound', { method: `${prefix}.Nope` }],
    [
      'an inherited name',
      { method: `${prefix}.toString` },
      'MethodNotFound',
      { method: `${prefix}.toString` },
    ],
    ['a method without interface', { method: 'Echo' }, 'MethodNotFound', { method: 'Echo' }],
    [
      'no handler',
      { method: `${prefix}.Unwritten` },
      'MethodNotImplemented',
      { method: `${prefix}.Unwritten` },
    ],
    [
      'upgrade',
      { method: `${prefix}.Hang`, upgrade: true },
      'MethodNotImplemented',
      { method: `${prefix}.Hang` },
    ],
    ['no more', { method: `${prefix}.Count`, parameters: { to: 1 } }, 'ExpectedMore', {}],
  ])('with %s is refused', async (_, message, name, parameters) => {
    const peer = await connectPeer()
    peer.send(message)
    await peer.expectReplies(serviceError(name, parameters))
  })

  test.each([
    [undefined, 'text'],
    [null, 'text'],
    [{ text: 1 }, 'text'],
    [{ text: 'x', times: '1' }, 'times'],
    [{ text: 'x', tags: { a: 1 } }, 'tags.a'],
    [{ text: 'x', typo: 1 }, 'typo'],
    [[], 'parameters'],
    ['x', 'parameters'],
    [JSON.parse('{"text":"x","__proto__":{}}'), '__proto__'],
  ])('with parameters %j is refused by name, and the connection goes on', async (parameters, parameter) => {
    const peer = await connectPeer()
    peer.send({ method: `${prefix}.Echo`, parameters })
    peer.call('Echo', { text: 'next' })
    await peer.expectReplies(serviceError('InvalidParameter', { parameter }), {
      parameters: { text: 'next' },
    })
  })

  test('that is oneway gets no reply and no error', async () => {
    const peer = await connectPeer()
    peer.call('Echo', { text: 'a' }, { oneway: true })
    peer.call('Nope', {}, { oneway: true })
    peer.call('Echo', { text: 'b' })
    await peer.expectReplies({ parameters: { text: 'b' } })
  })

  test('with more gets all replies', async () => {
    const Count: Handler = async (call: ServerCall<{ to: number }>) => {
      for (let n = 1; n < call.parameters.to; n++) call.replyContinues({ n })
      await call.drained()
      call.reply({ n: call.parameters.to })
    }
    const peer = await connectPeer({ Count })
    peer.call('Count', { to: 3 }, { more: true })
    await peer.expectReplies(
      { parameters: { n: 1 }, continues: true },
      { parameters: { n: 2 }, continues: true },
      { parameters: { n: 3 } },
    )
  })

  test('starts only when the one before it has ended', async () => {
    const log: string[] = []
    const Echo: Handler = async (call: ServerCall<{ text: string }>) => {
      log.push(`start ${call.parameters.text}`)
      await new Promise((resolve) => setImmediate(resolve))
      log.push(`end ${call.parameters.text}`)
      call.reply({ text: call.parameters.text })
    }
    const peer = await connectPeer({ Echo })
    peer.call('Echo', { text: 'a' })
    peer.call('Echo', { text: 'b' })
    await peer.expectReplies({ parameters: { text: 'a' } }, { parameters: { text: 'b' } })
    expect(log).toEqual(['start a', 'end a', 'start b', 'end b'])
  })
})

describe('a handler', () => {
  test('that throws a VarlinkError answers with it', async () => {
    const Echo: Handler = () => Promise.reject(new VarlinkError(`${prefix}.Refused`, { why: 'no' }))
    const peer = await connectPeer({ Echo })
    peer.call('Echo', { text: '' })
    await peer.expectReplies(error(`${prefix}.Refused`, { why: 'no' }))
    expect(internalErrors).toEqual([])
  })

  test.each<[string, Handler, string]>([
    ['throws', () => Promise.reject(new Error('secret path')), 'secret path'],
    ['ends without a reply', async () => {}, 'ended without a reply'],
    ['replies with a wrong type', async (call) => call.reply({ text: 1 }), 'reply.text: expected a string'],
    ['replies in parts unasked', async (call) => call.replyContinues({ text: 'x' }), "without 'more'"],
    [
      'throws an undeclared error',
      () => Promise.reject(new VarlinkError('a.b.C')),
      'no interface declares a.b.C',
    ],
    [
      'throws an error with wrong parameters',
      () => Promise.reject(new VarlinkError(`${prefix}.Refused`, { because: 1 })),
      'Refused.because: no such field',
    ],
  ])('that %s is a bug, whose text the peer does not learn', async (_, handler, text) => {
    const peer = await connectPeer({ Echo: handler })
    peer.call('Echo', { text: '' })
    await peer.expectReplies(error(`${prefix}.Internal`, {}))
    expect(internalErrors).toEqual([
      [expect.objectContaining({ message: expect.stringContaining(text) }), `${prefix}.Echo`],
    ])
  })

  test('that fails after its reply sends nothing more', async () => {
    const Echo: Handler = async (call) => {
      call.reply({ text: 'once' })
      call.reply({ text: 'twice' })
    }
    const peer = await connectPeer({ Echo })
    peer.call('Echo', { text: '' })
    peer.send({ method: 'Echo' })
    await peer.expectReplies(
      { parameters: { text: 'once' } },
      serviceError('MethodNotFound', { method: 'Echo' }),
    )
    expect(internalErrors).toHaveLength(1)
  })

  test('is told that its peer is gone, and what it throws then is no bug', async () => {
    const reason = deferred<unknown>()
    const Hang: Handler = (call) => {
      call.signal.addEventListener('abort', () => reason.resolve(call.signal.reason))
      return hang(call)
    }
    const peer = await connectPeer({ Hang })
    peer.call('Hang')
    await vi.waitFor(() => expect(connections).toHaveLength(1))
    peer.socket.end()
    expect(await reason.promise).toMatchObject({ code: 'ERR_SNAPSAFE_VARLINK_CONNECTION_CLOSED' })
    expect(await peer.closed).toBeUndefined()
    expect(internalErrors).toEqual([])
  })
})

describe('a hostile peer', () => {
  const reply = (reason: unknown) => error(`${prefix}.ProtocolError`, { reason })

  test.each([
    ['not-json', 'garbage\0'],
    ['not-json', '\0'],
    ['not-json', '\0'.repeat(60_000)],
    ['not-an-object', '[]\0'],
    ['too-deep', `{"method":${'['.repeat(20_000)}\0`],
    ['frame-too-large', 'x'.repeat(70_000)],
    ['not-a-call', '{}\0'],
    ['not-a-call', '{"method":1}\0'],
    ['not-a-call', '{"__proto__":{"method":"org.varlink.service.GetInfo"}}\0'],
    ['not-a-call', '{"method":"a.b","more":"yes"}\0'],
    ['not-a-call', '{"method":"a.b","more":true,"oneway":true}\0'],
    ['not-utf8', Buffer.from([0x22, 0xc3, 0x28, 0x22, 0])],
  ])('that sends what is %s is told so and disconnected', async (violation, bytes) => {
    const peer = await connectPeer()
    peer.socket.write(bytes)
    await peer.expectReplies(reply(expect.any(String)))
    expect((await peer.closed)?.violation).toBe(violation)
  })

  test('that breaks the protocol during a call has it aborted', async () => {
    const peer = await connectPeer()
    peer.call('Hang')
    peer.socket.write('bad\0')
    await peer.expectReplies(reply('a message is not JSON followed by one NUL byte'))
    expect((await peer.closed)?.violation).toBe('not-json')
    expect(internalErrors).toEqual([])
  })

  test('is disconnected without a word where no error is declared for it', async () => {
    const peer = await connectPeer({}, { protocolErrorName: '' })
    peer.socket.write('bad\0')
    expect((await peer.closed)?.violation).toBe('not-json')
    await peer.expectReplies()
  })

  test('that sends half a frame and then nothing is disconnected', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const peer = await connectPeer({ Echo: echo }, { limits: { halfFrameTimeoutMs: 1000 } })
    peer.call('Echo', { text: 'whole' })
    peer.socket.write('{"method":')
    await replyCount(peer, 1)
    vi.advanceTimersByTime(999)
    expect(peer.socket.destroyed).toBe(false)
    vi.advanceTimersByTime(1)
    expect((await peer.closed)?.violation).toBe('half-frame')
    expect(peer.replies[1]).toEqual(reply(expect.stringContaining('1000 ms')))
  })

  test('gains no time by dribbling', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const peer = await connectPeer({ Echo: echo }, { limits: { halfFrameTimeoutMs: 1000 } })
    peer.call('Echo', { text: 'whole' })
    peer.socket.write('{"method":')
    await replyCount(peer, 1)
    vi.advanceTimersByTime(600)
    peer.socket.write('"a')
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
    vi.advanceTimersByTime(400)
    expect((await peer.closed)?.violation).toBe('half-frame')
  })

  test('that pipelines thousands of calls is read no faster than it is served', async () => {
    const release = deferred<void>()
    const Echo: Handler = async (call: ServerCall<{ text: string }>) => {
      await release.promise
      call.reply({ text: call.parameters.text })
    }
    const peer = await connectPeer({ Echo })
    const count = 5000
    const text = 'x'.repeat(500)
    const one = encodeFrame({ method: `${prefix}.Echo`, parameters: { text } })
    peer.socket.write(Buffer.concat(Array<Buffer>(count).fill(one)))
    await vi.waitFor(() => expect(connections).toHaveLength(1))
    // Turns of the loop for the server to read all it wants; it takes far less than the 2.7 MB that were sent.
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(peer.socket.bytesWritten - peer.socket.writableLength).toBeLessThan(1_000_000)
    release.resolve()
    await vi.waitFor(() => expect(peer.replies).toHaveLength(count), 4000)
    expect(await Promise.race([peer.closed, 'open'])).toBe('open')
  })

  test('that never reads its replies is disconnected', async () => {
    const Count: Handler = async (call) => {
      for (let n = 0; !call.signal.aborted; n++) {
        call.replyContinues({ n })
        if (n % 1000 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const peer = await connectPeer({ Count }, { limits: { maxOutputBytes: 10_000 } })
    peer.socket.pause()
    peer.call('Count', { to: 1 }, { more: true })
    expect((await peer.closed)?.violation).toBe('replies-not-read')
    expect(internalErrors).toEqual([])
  })

  test('that reads takes a reply of any size, and those behind it', async () => {
    const Echo: Handler = async (call: ServerCall<{ text: string }>) => {
      for (const length of [10, 5_000_000, 10, 9000]) call.replyContinues({ text: 'x'.repeat(length) })
      call.reply({ text: call.parameters.text })
    }
    const peer = await connectPeer({ Echo }, { limits: { maxOutputBytes: 10_000 } })
    peer.call('Echo', { text: 'end' }, { more: true })
    await vi.waitFor(() => expect(peer.replies).toHaveLength(5), 4000)
    expect(peer.replies.at(-1)).toEqual({ parameters: { text: 'end' } })
  })

  test('that reads nothing behind a large reply is disconnected, however large that was', async () => {
    const Echo: Handler = async (call) => {
      call.replyContinues({ text: 'x'.repeat(5_000_000) })
      await new Promise((resolve) => setImmediate(resolve))
      for (let n = 0; n < 11; n++) call.replyContinues({ text: 'x'.repeat(1000) })
      await hang(call)
    }
    const peer = await connectPeer({ Echo }, { limits: { maxOutputBytes: 10_000 } })
    peer.socket.pause()
    peer.call('Echo', { text: '' }, { more: true })
    expect((await peer.closed)?.violation).toBe('replies-not-read')
  })

  test('that never reads cannot hold up close', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const Echo: Handler = async (call) => call.reply({ text: 'x'.repeat(900_000) })
    const peer = await connectPeer({ Echo })
    peer.socket.pause()
    peer.call('Echo', { text: '' })
    await vi.waitFor(() => expect(connections).toHaveLength(1))
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
    const closed = connections[0]?.close()
    vi.advanceTimersByTime(1000)
    await closed
    expect(await peer.closed).toBeUndefined()
  })
})

test('close hands over what was written and aborts the call under way', async () => {
  const Hang: Handler = async (call) => {
    call.replyContinues({})
    void connections[0]?.close()
    await hang(call)
  }
  const peer = await connectPeer({ Hang })
  peer.call('Hang', {}, { more: true })
  await peer.expectReplies({ parameters: {}, continues: true })
  expect(await peer.closed).toBeUndefined()
})

describe('a connection that another one goes on with', () => {
  const Count: Handler = async (call: ServerCall<{ to: number }>) => {
    call.replyContinues({ n: call.parameters.to })
    await hang(call as never)
  }

  test('is detached without a sign to the peer, and the call under way goes on', async () => {
    const peer = await connectPeer({ Count })
    peer.call('Count', { to: 1 }, { more: true })
    await peer.expectReplies({ parameters: { n: 1 }, continues: true })
    const fd = copyOf(sockets[0])
    await connections[0]?.detach()
    expect(await peer.closed).toBeUndefined()

    const underWay = { method: `${prefix}.Count`, parameters: { to: 2 } }
    const other = serve(new Socket({ fd, readable: true, writable: true }), { Count }, { underWay })
    await peer.expectReplies(
      { parameters: { n: 1 }, continues: true },
      { parameters: { n: 2 }, continues: true },
    )
    expect(peer.socket.readableEnded).toBe(false)
    const ended = once(peer.socket, 'end')
    await other.close()
    await ended
    expect(internalErrors).toEqual([])
  })

  test('has all that was written before it was detached', async () => {
    const text = 'x'.repeat(900_000)
    const Echo: Handler = async (call) => call.reply({ text })
    const peer = await connectPeer({ Echo })
    peer.socket.pause()
    peer.call('Echo', { text: '' })
    await vi.waitFor(() => expect(sockets[0]?.writableLength).toBeGreaterThan(0))
    const detached = connections[0]?.detach()
    peer.socket.resume()
    await detached
    await peer.expectReplies({ parameters: { text } })
  })

  test('is detached after a time where the peer does not read', async () => {
    const Echo: Handler = async (call) => call.reply({ text: 'x'.repeat(900_000) })
    const peer = await connectPeer({ Echo }, { limits: { closeTimeoutMs: 50 } })
    peer.socket.pause()
    peer.call('Echo', { text: '' })
    await vi.waitFor(() => expect(sockets[0]?.writableLength).toBeGreaterThan(0))
    await connections[0]?.detach()
    expect(sockets[0]?.destroyed).toBe(true)
  })
})

test('a slow stream that awaits drained keeps a peer that reads', async () => {
  const text = 'x'.repeat(1000)
  const Echo: Handler = async (call) => {
    for (let n = 0; n < 2000; n++) {
      call.replyContinues({ text })
      await call.drained()
    }
    call.reply({ text })
  }
  const peer = await connectPeer({ Echo }, { limits: { maxOutputBytes: 50_000 } })
  peer.call('Echo', { text: '' }, { more: true })
  await vi.waitFor(() => expect(peer.replies).toHaveLength(2001), 4000)
})

async function replyCount(peer: Peer, count: number): Promise<void> {
  while (peer.replies.length < count) await once(peer.socket, 'data')
}

/** Another descriptor of the same open socket, as another process may have it. */
function copyOf(socket: Socket | undefined): number {
  const { addon } = loadNative()
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
  if (!addon) throw new Error('this test needs the addon: node tools/build-addon.mjs')
  const self = addon.pidfdOpen(process.pid)
  try {
    return addon.pidfdGetFd(self, fd)
  } finally {
    closeSync(self)
  }
}

function deferred<T>() {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
