import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type DaemonProcess, startDaemon } from '../support/daemon-process.ts'
import { RawPeer } from '../support/raw-peer.ts'
import { TestWatcher } from '../support/test-watcher.ts'

/** The daemon's own, as its interface's documentation has them. */
const maxMessageBytes = 64 * 1024
const halfFrameTimeoutMs = 5000

let daemon: DaemonProcess
beforeAll(async () => {
  daemon = await startDaemon()
})
afterAll(() => daemon[Symbol.asyncDispose]())

const call = (members: object): string =>
  JSON.stringify({ method: 'io.snapsafe.Generation.GetState', ...members })

describe.concurrent('what is not Varlink is answered with ProtocolError and why, and that connection alone is closed:', () => {
  it.each<[string, string | Uint8Array, RegExp]>([
    ['not JSON', 'GET / HTTP/1.1\r\n\r\n\0', /not JSON/],
    ['nothing between two NULs', '\0', /not JSON/],
    ['not UTF-8', Uint8Array.of(0x7b, 0xff, 0x7d, 0), /not UTF-8/],
    ['an array', '[]\0', /not a JSON object/],
    ['a string', '"GetState"\0', /not a JSON object/],
    ['null', 'null\0', /not a JSON object/],
    ['an object without a method', '{}\0', /'method' is not a string/],
    ['a method that is a number', '{"method":1}\0', /'method' is not a string/],
    ['a flag that is a string', `${call({ more: 'yes' })}\0`, /'more' is not a boolean/],
    ['more and oneway at once', `${call({ more: true, oneway: true })}\0`, /exclude each other/],
    ['100 levels of nesting', `${'{"a":'.repeat(100)}1${'}'.repeat(100)}\0`, /nests deeper than 64/],
    [
      'a frame over the limit',
      `${call({ parameters: { pad: 'x'.repeat(maxMessageBytes) } })}\0`,
      /65536 bytes/,
    ],
    ['a frame over the limit that never ends', 'x'.repeat(2 * maxMessageBytes), /65536 bytes/],
  ])('%s', async (_, bytes, reason) => {
    await using healthy = await TestWatcher.join(daemon.socket)
    await using peer = RawPeer.connect(daemon.socket)
    peer.send(bytes)
    expect(await peer.next()).toEqual({
      error: 'io.snapsafe.Generation.ProtocolError',
      parameters: { reason: expect.stringMatching(reason) },
    })
    await peer.closed
    await healthy.isServed()
  })

  it('half a frame and silence, after five seconds', async () => {
    await using healthy = await TestWatcher.join(daemon.socket)
    await using peer = RawPeer.connect(daemon.socket)
    const began = performance.now()
    peer.send('{"method":"io.snapsafe')
    await healthy.isServed()
    expect(await peer.next()).toEqual({
      error: 'io.snapsafe.Generation.ProtocolError',
      parameters: {
        reason: `a message did not end within ${halfFrameTimeoutMs} ms of its first byte; send it whole`,
      },
    })
    expect(performance.now() - began).toBeGreaterThan(halfFrameTimeoutMs - 100)
    await peer.closed
    await healthy.isServed()
  })

  it('a frame that comes byte by byte for more than five seconds', async () => {
    await using healthy = await TestWatcher.join(daemon.socket)
    await using peer = RawPeer.connect(daemon.socket)
    const dribble = setInterval(() => peer.send(' '), 200)
    try {
      expect((await peer.next()).parameters.reason).toContain(`within ${halfFrameTimeoutMs} ms`)
      await peer.closed
    } finally {
      clearInterval(dribble)
    }
    await healthy.isServed()
  })
})

describe.concurrent('what is Varlink is answered:', () => {
  it('a frame just under the limit', async () => {
    await using peer = RawPeer.connect(daemon.socket)
    const frame = call({ pad: '' })
    peer.send(`${frame.replace('""', `"${'x'.repeat(maxMessageBytes - frame.length)}"`)}\0`)
    expect(await peer.next()).toMatchObject({ parameters: { state: { kernelRandom: 'off' } } })
  })

  it('many calls in one write, in their order', async () => {
    await using peer = RawPeer.connect(daemon.socket)
    const names = Array.from({ length: 200 }, (_, index) => `io.snapsafe.Generation.No${index}`)
    peer.send(names.map((method) => `${JSON.stringify({ method })}\0`).join(''))
    for (const method of names) {
      expect(await peer.next()).toEqual({
        error: 'org.varlink.service.MethodNotFound',
        parameters: { method },
      })
    }
  })

  it('a call in two halves', async () => {
    await using peer = RawPeer.connect(daemon.socket)
    const frame = `${call({})}\0`
    peer.send(frame.slice(0, 20))
    await using healthy = await TestWatcher.join(daemon.socket)
    await healthy.isServed()
    peer.send(frame.slice(20))
    expect((await peer.next()).error).toBeUndefined()
  })
})

describe.concurrent('a connection that ends', () => {
  it('in the middle of a frame is nobody’s business', async () => {
    await using healthy = await TestWatcher.join(daemon.socket)
    {
      await using peer = RawPeer.connect(daemon.socket)
      peer.send('{"method":')
    }
    await healthy.isServed()
    expect(daemon.log()).not.toContain('error')
  })
})
