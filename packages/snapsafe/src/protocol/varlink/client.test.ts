import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, expectTypeOf, test, vi } from 'vitest'
import { VarlinkClient } from './client.ts'
import type { ConnectOptions } from './client-options.ts'
import { ConnectError, ConnectionClosedError, VarlinkError, VarlinkTimeoutError } from './errors.ts'
import { encodeFrame, FrameDecoder } from './frame.ts'
import { parseInterface } from './idl/parse-interface.ts'
import type { JsonObject } from './json.ts'
import { dispatchTo } from './method-handlers.ts'
import { ServerConnection } from './server-connection.ts'

const description = parseInterface(`interface org.example.Test
method Echo(text: string) -> (text: string)
method Count(to: int) -> (n: int)
error Refused (why: string)
error Internal ()
`)

type Methods = {
  Echo: { parameters: { text: string }; reply: { text: string } }
  Count: { parameters: { to: number }; reply: { n: number } }
}

let folder: string
let path: string
let server: Server
let clients: VarlinkClient<Methods>[]
let sockets: Socket[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'snapsafe-varlink-'))
  path = join(folder, 'socket')
  clients = []
  sockets = []
})

afterEach(async () => {
  vi.useRealTimers()
  for (const socket of sockets) socket.destroy()
  await Promise.all(clients.map((client) => client.close()))
  server?.close()
  rmSync(folder, { recursive: true })
})

type Script = (socket: Socket, call: JsonObject, index: number) => void

/** A service that does what a script says with each call, and a client of it. */
async function connect(script: Script = () => {}, options: Partial<ConnectOptions> = {}) {
  server = createServer((socket) => {
    sockets.push(socket)
    const decoder = new FrameDecoder()
    let index = 0
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      for (const call of decoder.push(chunk).messages) script(socket, call, index++)
    })
  })
  return listen(options)
}

/** The real server side, and a client of it. */
async function connectReal() {
  server = createServer((socket) => {
    sockets.push(socket)
    new ServerConnection(socket, {
      interfaces: [description],
      service: { vendor: 'v', product: 'p', version: '1', url: 'u' },
      dispatch: dispatchTo<Methods>({
        Echo: async (call) => {
          if (call.parameters.text === 'refuse')
            throw new VarlinkError('org.example.Test.Refused', { why: 'asked' })
          call.reply({ text: call.parameters.text })
        },
        Count: async (call) => {
          for (let n = 1; n < call.parameters.to && !call.signal.aborted; n++) {
            call.replyContinues({ n })
            await call.drained()
          }
          call.reply({ n: call.parameters.to })
        },
      }),
      internalErrorName: 'org.example.Test.Internal',
      onInternalError: (error) => {
        throw error
      },
    })
  })
  return listen({})
}

async function listen(options: Partial<ConnectOptions>) {
  server.listen(path)
  await once(server, 'listening')
  const client = await VarlinkClient.connect<Methods>(path, { description, ...options })
  clients.push(client)
  return client
}

const reply = (parameters: object, continues?: true) =>
  encodeFrame({ parameters, ...(continues ? { continues } : {}) })

describe('against the real server side', () => {
  test('a call gives its reply, typed', async () => {
    const client = await connectReal()
    const answer = await client.call('Echo', { text: 'x' })
    expect(answer).toEqual({ text: 'x' })
    expectTypeOf(answer).toEqualTypeOf<{ text: string }>()
    expectTypeOf(client.call<'Count'>)
      .parameter(1)
      .toEqualTypeOf<{ to: number }>()
  })

  test('pipelined calls get their own answers, errors included', async () => {
    const client = await connectReal()
    const texts = [...Array(100).keys()].map((n) => (n % 10 === 5 ? 'refuse' : `${n}`))
    const results = await Promise.allSettled(texts.map((text) => client.call('Echo', { text })))
    for (const [index, result] of results.entries()) {
      const error = {
        code: 'ERR_SNAPSAFE_VARLINK_REMOTE',
        name: 'org.example.Test.Refused',
        parameters: { why: 'asked' },
      }
      if (texts[index] !== 'refuse') expect(result).toMatchObject({ value: { text: texts[index] } })
      else expect(result).toMatchObject({ reason: error })
    }
  })

  test('a stream gives each reply and ends, and the connection goes on', async () => {
    const client = await connectReal()
    const seen: number[] = []
    for await (const { n } of client.stream('Count', { to: 1000 })) seen.push(n)
    expect(seen).toEqual([...Array(1000).keys()].map((n) => n + 1))
    expect(await client.call('Echo', { text: 'x' })).toEqual({ text: 'x' })
  })

  test('getInfo tells the interfaces', async () => {
    const client = await connectReal()
    expect((await client.getInfo()).interfaces).toEqual(['org.varlink.service', 'org.example.Test'])
  })

  test('close resolves when the socket is closed, also with asyncDispose', async () => {
    const client = await connectReal()
    await client[Symbol.asyncDispose]()
    expect(await client.closed).toBeUndefined()
    await expect(client.call('Echo', { text: 'x' })).rejects.toThrow(ConnectionClosedError)
  })
})

describe('connecting', () => {
  test('to nobody fails with what the system says', async () => {
    const attempt = VarlinkClient.connect(path, { description })
    await expect(attempt).rejects.toThrow(ConnectError)
    await expect(attempt).rejects.toMatchObject({
      errno: 'ENOENT',
      path,
      code: 'ERR_SNAPSAFE_VARLINK_CONNECT_FAILED',
    })
  })

  test('ends with the reason of an aborted signal', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(VarlinkClient.connect(path, { description, signal })).rejects.toThrow('enough')
  })
})

describe('a service that misbehaves', () => {
  test.each<[string, string | Buffer]>([
    ['not-json', 'garbage\0'],
    ['not-json', '\0'],
    ['not-an-object', '[]\0'],
    ['not-utf8', Buffer.from([0x22, 0xff, 0x22, 0])],
    ['too-deep', `${'['.repeat(1000)}\0`],
    ['not-a-reply', '{"parameters":[]}\0'],
    ['not-a-reply', '{"error":1}\0'],
    ['not-a-reply', '{"continues":1}\0'],
    ['invalid-reply', '{}\0'],
    ['invalid-reply', '{"parameters":{"text":1}}\0'],
    ['unexpected-reply', '{"parameters":{"text":"x"},"continues":true}\0'],
    ['frame-too-large', 'x'.repeat(2000)],
  ])('with %s has the call fail so, the next one too, and is left', async (violation, bytes) => {
    const client = await connect((socket) => socket.write(bytes), { limits: { maxMessageBytes: 1000 } })
    const first = client.call('Echo', { text: '1' })
    const second = client.call('Echo', { text: '2' })
    const outcomes = await Promise.allSettled([first, second])
    expect(outcomes[0]).toMatchObject({
      reason: { violation, code: 'ERR_SNAPSAFE_VARLINK_PROTOCOL_VIOLATION' },
    })
    expect(outcomes[1]).toMatchObject({ reason: { code: 'ERR_SNAPSAFE_VARLINK_CONNECTION_CLOSED' } })
    expect(await client.closed).toMatchObject({ violation })
  })

  test('with a reply to no call is left', async () => {
    const client = await connect((socket) =>
      socket.write(Buffer.concat([reply({ text: '' }), reply({ text: '' })])),
    )
    await client.call('Echo', { text: '' })
    expect(await client.closed).toMatchObject({ violation: 'unexpected-reply' })
  })

  test.each<[string, Script]>([
    ['hangs up', (socket) => socket.destroy()],
    ['ends in the middle of a reply', (socket) => socket.end('{"parameters":')],
  ])('that %s rejects all calls', async (_, script) => {
    const client = await connect(script)
    const calls = [client.call('Echo', { text: '1' }), client.call('Echo', { text: '2' })]
    for (const call of calls) await expect(call).rejects.toThrow(ConnectionClosedError)
    expect(await client.closed).toBeInstanceOf(Error)
  })

  test('is read however it cuts its replies', async () => {
    const client = await connect(async (socket) => {
      for (const byte of reply({ text: 'ü' })) {
        socket.write(Buffer.of(byte))
        await new Promise((resolve) => setImmediate(resolve))
      }
    })
    expect(await client.call('Echo', { text: '' })).toEqual({ text: 'ü' })
  })
})

test('fields that only a newer service knows are passed on', async () => {
  const client = await connect((socket) => socket.write('{"parameters":{"text":"x","new":1},"hint":2}\0'))
  expect(await client.call('Echo', { text: '' })).toEqual({ text: 'x', new: 1 })
})

test('an error without parameters has none', async () => {
  const client = await connect((socket) => socket.write('{"error":"a.b.C"}\0'))
  await expect(client.call('Echo', { text: '' })).rejects.toMatchObject({ name: 'a.b.C', parameters: {} })
})

test('more calls than the limit are refused, and the others are not harmed', async () => {
  const held: Socket[] = []
  const client = await connect((socket) => held.push(socket), { limits: { maxPendingCalls: 2 } })
  const calls = [client.call('Echo', { text: '' }), client.call('Echo', { text: '' })]
  const code = 'ERR_SNAPSAFE_VARLINK_TOO_MANY_CALLS'
  await expect(client.call('Echo', { text: '' })).rejects.toMatchObject({ code })
  await vi.waitFor(() => expect(held).toHaveLength(2))
  for (const socket of held) socket.write(reply({ text: 'x' }))
  await expect(Promise.all(calls)).resolves.toHaveLength(2)
})

test('a method that the description lacks, or parameters that are no JSON, are a mistake of the caller', async () => {
  const client = await connect((socket) => socket.write(reply({ text: 'x' })))
  await expect(client.call('Nope' as 'Echo', { text: '' })).rejects.toThrow(TypeError)
  await expect(client.call('Echo', { text: 1n as never })).rejects.toThrow(TypeError)
  expect(await client.call('Echo', { text: '' })).toEqual({ text: 'x' })
})

describe('giving up', () => {
  test('a call that is not answered in time closes the connection', async () => {
    const client = await connect()
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const outcomes = Promise.allSettled([
      client.call('Echo', { text: '1' }),
      client.call('Echo', { text: '2' }, { timeoutMs: 50 }),
    ])
    vi.advanceTimersByTime(50)
    expect(await outcomes).toMatchObject([
      { reason: { code: 'ERR_SNAPSAFE_VARLINK_CONNECTION_CLOSED' } },
      { reason: { code: 'ERR_SNAPSAFE_VARLINK_TIMEOUT' } },
    ])
    expect(await client.closed).toBeInstanceOf(VarlinkTimeoutError)
  })

  test('a call that is aborted rejects with the reason and closes the connection', async () => {
    const client = await connect()
    const controller = new AbortController()
    const call = client.call('Echo', { text: '' }, { signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(call).rejects.toThrow('enough')
    await client.closed
  })

  test('a signal that is aborted already sends nothing and harms nobody', async () => {
    const client = await connect((socket) => socket.write(reply({ text: 'x' })))
    const signal = AbortSignal.abort()
    await expect(client.call('Echo', { text: '' }, { signal })).rejects.toThrow()
    expect(() => client.stream('Count', { to: 1 }, { signal })).toThrow()
    expect(await client.call('Echo', { text: '' })).toEqual({ text: 'x' })
  })

  test('a call that was answered leaves no timer and no listener', async () => {
    const client = await connect((socket) => socket.write(reply({ text: 'x' })))
    const controller = new AbortController()
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    await client.call('Echo', { text: '' }, { signal: controller.signal })
    expect(vi.getTimerCount()).toBe(0)
    controller.abort()
    expect(await client.call('Echo', { text: '' })).toEqual({ text: 'x' })
  })
})

describe('a stream', () => {
  test('is sent at once, with more', async () => {
    const calls: JsonObject[] = []
    const client = await connect((_, call) => calls.push(call))
    client.stream('Count', { to: 1 })
    await vi.waitFor(() => expect(calls).toHaveLength(1))
    expect(calls[0]).toEqual({ method: 'org.example.Test.Count', parameters: { to: 1 }, more: true })
  })

  test('that is left early closes the connection', async () => {
    const client = await connect((socket) => socket.write(reply({ n: 1 }, true)))
    for await (const { n } of client.stream('Count', { to: 9 })) {
      expect(n).toBe(1)
      break
    }
    expect(await client.closed).toMatchObject({ code: 'ERR_SNAPSAFE_VARLINK_CONNECTION_CLOSED' })
  })

  test('that is left after its end leaves the connection open', async () => {
    const client = await connect((socket, { more }) =>
      socket.write(more ? reply({ n: 1 }) : reply({ text: 'x' })),
    )
    for await (const _ of client.stream('Count', { to: 1 })) break
    expect(await client.call('Echo', { text: '' })).toEqual({ text: 'x' })
  })

  test('gives what arrived and then throws when the connection breaks', async () => {
    const client = await connect((socket) =>
      socket.end(Buffer.concat([reply({ n: 1 }, true), reply({ n: 2 }, true)])),
    )
    const seen: number[] = []
    const reading = (async () => {
      for await (const { n } of client.stream('Count', { to: 9 })) seen.push(n)
    })()
    await expect(reading).rejects.toThrow(ConnectionClosedError)
    expect(seen).toEqual([1, 2])
  })

  test('throws an error reply and leaves the connection open', async () => {
    const client = await connect((socket, { more }) =>
      socket.write(more ? encodeFrame({ error: 'a.b.C' }) : reply({ text: 'x' })),
    )
    const next = client.stream('Count', { to: 1 })[Symbol.asyncIterator]().next()
    await expect(next).rejects.toThrow(VarlinkError)
    expect(await client.call('Echo', { text: '' })).toEqual({ text: 'x' })
  })

  test('that is aborted throws the reason, before what was not read', async () => {
    const client = await connect((socket) =>
      socket.write(Buffer.concat([reply({ n: 1 }, true), reply({ n: 2 }, true)])),
    )
    const controller = new AbortController()
    const iterator = client.stream('Count', { to: 9 }, { signal: controller.signal })[Symbol.asyncIterator]()
    expect((await iterator.next()).value).toEqual({ n: 1 })
    controller.abort(new Error('enough'))
    await expect(iterator.next()).rejects.toThrow('enough')
    await client.closed
  })

  test('that waits for its next reply is ended by close', async () => {
    const client = await connect()
    const next = client.stream('Count', { to: 9 })[Symbol.asyncIterator]().next()
    void client.close()
    await expect(next).rejects.toThrow(ConnectionClosedError)
  })

  test('whose reader is slow is not read faster than the reader reads', async () => {
    const text = 'x'.repeat(10_000)
    const total = 500
    const client = await connect(
      (socket) => {
        for (let n = 1; n <= total; n++)
          socket.write(encodeFrame({ parameters: { n, text }, ...(n < total && { continues: true }) }))
      },
      { limits: { maxBufferedReplies: 4 } },
    )
    const stream = client.stream('Count', { to: total })
    await vi.waitFor(() => expect(sockets[0]?.bytesWritten).toBeGreaterThan(1_000_000))
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
    // The service has 5 MB; all but a few buffers of it must still be on its side.
    expect(sockets[0]?.writableLength).toBeGreaterThan(3_000_000)
    let count = 0
    for await (const { n } of stream) expect(n).toBe(++count)
    expect(count).toBe(total)
  })

  test('can be read once', async () => {
    const client = await connect((socket) => socket.write(reply({ n: 1 })))
    const stream = client.stream('Count', { to: 1 })
    for await (const _ of stream);
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toThrow(TypeError)
  })
})

test('an unreferenced client lets its process end, with a call and a stream under way', async () => {
  await connect()
  const module = (name: string) => JSON.stringify(fileURLToPath(new URL(name, import.meta.url)))
  const source = `
    const { VarlinkClient } = await import(${module('client.ts')})
    const { parseInterface } = await import(${module('idl/parse-interface.ts')})
    const description = parseInterface(${JSON.stringify(description.text)})
    const client = await VarlinkClient.connect(${JSON.stringify(path)}, { description })
    client.unref()
    client.stream('Count', { to: 1 })
    client.call('Count', { to: 1 }).catch(() => {})
  `
  const args = ['--import', 'tsx', '--input-type=module', '--eval', source]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const [code] = await once(child, 'exit', { signal: AbortSignal.timeout(10_000) })
  expect(stderr).toBe('')
  expect(code).toBe(0)
}, 15_000)
