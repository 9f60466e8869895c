import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { QmpClient } from './qmp.ts'

const greeting = '{"QMP": {"version": {"qemu": {"major": 10}}, "capabilities": []}}\r\n'
const wait = { timeoutMs: 2_000 }
const cleanup: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step()
})

/** A QMP server whose words for each connection, and for each command, are given. */
async function fakeQemu(
  first: string,
  answer: (command: { execute: string; id: number }, socket: Socket) => void,
) {
  const folder = await mkdtemp(join(tmpdir(), 'qmp-'))
  const path = join(folder, 's')
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.write(first)
    socket.on('data', (data) => {
      for (const line of data.toString().split('\n').filter(Boolean)) answer(JSON.parse(line), socket)
    })
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  cleanup.push(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await rm(folder, { recursive: true })
  })
  return path
}

async function connect(path: string): Promise<QmpClient> {
  const client = await QmpClient.connect({ path, ...wait })
  cleanup.push(() => client.close())
  return client
}

/** Accepts the capabilities; everything else is up to the test. */
function polite(other: (command: { execute: string; id: number }, socket: Socket) => void) {
  return (command: { execute: string; id: number }, socket: Socket): void => {
    if (command.execute !== 'qmp_capabilities') other(command, socket)
    else socket.write(`{"return": {}, "id": ${command.id}}\r\n`)
  }
}

describe('a QMP client', () => {
  it('gets the value that QEMU returns, whatever order the answers come in', async () => {
    const held: string[] = []
    const path = await fakeQemu(
      greeting,
      polite(({ execute, id }, socket) => {
        held.unshift(`{"return": "${execute}", "id": ${id}}\r\n`)
        if (held.length === 2) socket.write(held.join(''))
      }),
    )
    const client = await connect(path)
    expect(await Promise.all([client.execute('one'), client.execute('two')])).toEqual(['one', 'two'])
  })

  it('understands answers that arrive byte by byte', async () => {
    const path = await fakeQemu(
      greeting,
      polite(({ id }, socket) => {
        const bytes = [...Buffer.from(`{"return": {"status": "paused"}, "id": ${id}}\r\n`)]
        const timer = setInterval(() => {
          const byte = bytes.shift()
          if (byte === undefined || socket.destroyed) return clearInterval(timer)
          socket.write(Buffer.of(byte))
        }, 1)
      }),
    )
    expect(await (await connect(path)).status(wait)).toBe('paused')
  })

  it('says with class and description what QEMU refused, and goes on', async () => {
    const path = await fakeQemu(
      greeting,
      polite(({ execute, id }, socket) => {
        const refusal = `{"error": {"class": "GenericError", "desc": "no such thing"}, "id": ${id}}\r\n`
        socket.write(execute === 'bad' ? refusal : `{"return": 7, "id": ${id}}\r\n`)
      }),
    )
    const client = await connect(path)
    await expect(client.execute('bad')).rejects.toMatchObject({
      code: 'ERR_SNAPSAFE_QMP_COMMAND',
      message: 'QEMU refused bad: no such thing (GenericError)',
    })
    expect(await client.execute('good')).toBe(7)
  })

  it('delivers events by name', async () => {
    const path = await fakeQemu(
      greeting,
      polite(({ id }, socket) => {
        socket.write(`{"event": "STOP", "timestamp": {}}\r\n{"return": {}, "id": ${id}}\r\n`)
      }),
    )
    const client = await connect(path)
    const stopped = client.waitForEvent('STOP', wait)
    await client.execute('stop')
    expect(await stopped).toEqual({ event: 'STOP', data: {} })
  })

  it('waits for a status through the ones before', async () => {
    const states = ['inmigrate', 'inmigrate', 'paused']
    const path = await fakeQemu(
      greeting,
      polite(({ id }, socket) =>
        socket.write(`{"return": {"status": "${states.shift()}"}, "id": ${id}}\r\n`),
      ),
    )
    await (await connect(path)).waitForStatus('paused', wait)
    expect(states).toEqual([])
  })

  it.each([
    ['garbage instead of a greeting', 'HTTP/1.1 400 Bad Request\r\n'],
    ['JSON that is no message', '[1, 2]\r\n'],
    ['a line without an end', 'x'.repeat(9 * 1024 * 1024)],
  ])('gives up on %s', async (_name, words) => {
    const path = await fakeQemu(words, () => {})
    await expect(connect(path)).rejects.toMatchObject({ code: 'ERR_SNAPSAFE_QMP_CONNECTION' })
  })

  it('does not wait longer than its deadline for a greeting', async () => {
    const path = await fakeQemu('{"QMP": {"vers', () => {})
    await expect(QmpClient.connect({ path, timeoutMs: 50 })).rejects.toMatchObject({
      code: 'ERR_SNAPSAFE_DEADLINE',
    })
  })

  it('does not wait longer than its deadline for an answer, and drops the late one', async () => {
    let late = ''
    const path = await fakeQemu(
      greeting,
      polite(({ id }, socket) => {
        if (late === '') late = `{"return": "late", "id": ${id}}\r\n`
        else socket.write(`${late}{"return": "right", "id": ${id}}\r\n`)
      }),
    )
    const client = await connect(path)
    await expect(client.execute('slow', {}, { timeoutMs: 50 })).rejects.toMatchObject({
      code: 'ERR_SNAPSAFE_DEADLINE',
    })
    expect(await client.execute('next')).toBe('right')
  })

  it('rejects what is pending, and all that follows, when QEMU closes the connection in mid-answer', async () => {
    const path = await fakeQemu(
      greeting,
      polite((_command, socket) => socket.end('{"return": {"sta')),
    )
    const client = await connect(path)
    const lost = { code: 'ERR_SNAPSAFE_QMP_CONNECTION' }
    await expect(client.execute('query-status')).rejects.toMatchObject(lost)
    await expect(client.execute('query-status')).rejects.toMatchObject(lost)
    await expect(client.waitForEvent('STOP', wait)).rejects.toMatchObject(lost)
  })

  it('stops waiting when it is told to', async () => {
    const path = await fakeQemu(
      greeting,
      polite(() => {}),
    )
    const client = await connect(path)
    const controller = new AbortController()
    const asked = client.execute('slow', {}, { ...wait, signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(asked).rejects.toThrow('enough')
  })

  it('says which socket never appeared', async () => {
    await expect(QmpClient.connect({ path: '/nonexistent/qmp', timeoutMs: 50 })).rejects.toThrow(
      '/nonexistent/qmp',
    )
  })

  it('refuses a path that the kernel would cut', async () => {
    await expect(QmpClient.connect({ path: `/${'x'.repeat(120)}`, ...wait })).rejects.toThrow('allows 107')
  })
})
