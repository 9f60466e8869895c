import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeFrame, FrameDecoder } from './frame.ts'

const nul = Buffer.from([0])
const bytes = (text: string) => Buffer.from(text)

describe('golden frames', () => {
  test.each([
    [{ method: 'org.varlink.service.GetInfo' }, '{"method":"org.varlink.service.GetInfo"}\0'],
    [{ parameters: { s: 'a\0b' }, continues: true }, '{"parameters":{"s":"a\\u0000b"},"continues":true}\0'],
    [{ error: 'a.b.C', parameters: {} }, '{"error":"a.b.C","parameters":{}}\0'],
    [{ s: 'ü' }, '{"s":"ü"}\0'],
  ])('%j', (message, frame) => {
    expect(encodeFrame(message).toString()).toBe(frame)
    expect(new FrameDecoder().push(bytes(frame))).toEqual({ messages: [message] })
  })
})

test('messages come out the same however the bytes are cut', () => {
  const messages = fc.array(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 5 })), {
    maxLength: 5,
  })
  fc.assert(
    fc.property(messages, fc.infiniteStream(fc.integer({ min: 1, max: 40 })), (sent, sizes) => {
      const wire = Buffer.concat(sent.map(encodeFrame))
      const decoder = new FrameDecoder()
      const received: unknown[] = []
      for (let start = 0; start < wire.length; ) {
        const end = start + (sizes.next().value ?? 1)
        const { messages, error } = decoder.push(wire.subarray(start, end))
        expect(error).toBeUndefined()
        received.push(...messages)
        start = end
      }
      expect(decoder.pendingBytes).toBe(0)
      expect(received).toEqual(JSON.parse(JSON.stringify(sent)))
    }),
  )
})

test('random bytes give messages or an error and never throw', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 30 })), (chunks) => {
      const decoder = new FrameDecoder({ maxMessageBytes: 64 })
      for (const chunk of chunks) decoder.push(chunk)
    }),
  )
})

test.each([
  ['not-json', nul],
  ['not-json', bytes('GET / HTTP/1.1\r\n\0')],
  ['not-json', bytes('{"a":1}{"b":2}\0')],
  ['not-json', bytes('\uFEFF{}\0')],
  ['not-utf8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d, 0])],
  ['not-utf8', Buffer.concat([Buffer.from('{"a":"ü"}', 'latin1'), nul])],
  ['not-an-object', bytes('[]\0')],
  ['not-an-object', bytes('null\0')],
  ['not-an-object', bytes('"x"\0')],
  ['too-deep', bytes(`{"a":${'['.repeat(1000)}${']'.repeat(1000)}}\0`)],
  ['too-deep', bytes(`${'{"a":'.repeat(10_000)}\0`)],
])('refuses as %s', (violation, chunk) => {
  expect(new FrameDecoder().push(chunk).error).toMatchObject({ violation })
})

test('brackets inside of strings do not nest', () => {
  const message = { s: '[{"\\'.repeat(500) }
  expect(new FrameDecoder().push(encodeFrame(message)).messages).toEqual([message])
})

test('the messages before a bad one are kept, and nothing after it', () => {
  const decoder = new FrameDecoder()
  const { messages, error } = decoder.push(bytes('{"a":1}\0bad\0{"b":2}\0'))
  expect(messages).toEqual([{ a: 1 }])
  expect(error?.violation).toBe('not-json')
  expect(decoder.push(bytes('{"c":3}\0'))).toEqual({ messages: [], error })
})

test('a message that grows too large is refused before its end arrives', () => {
  const decoder = new FrameDecoder({ maxMessageBytes: 10 })
  expect(decoder.push(bytes('x'.repeat(10))).error).toBeUndefined()
  expect(decoder.push(bytes('x')).error?.violation).toBe('frame-too-large')
  expect(decoder.pendingBytes).toBe(0)
})

test('the limit is on the message without its NUL, whole or cut', () => {
  const frame = encodeFrame({ a: 1 })
  const exact = frame.length - 1
  expect(new FrameDecoder({ maxMessageBytes: exact }).push(frame).messages).toHaveLength(1)
  expect(new FrameDecoder({ maxMessageBytes: exact - 1 }).push(frame).error?.violation).toBe(
    'frame-too-large',
  )
  const cut = new FrameDecoder({ maxMessageBytes: exact })
  cut.push(frame.subarray(0, exact))
  expect(cut.push(nul).messages).toHaveLength(1)
})

test('a peer that dribbles byte by byte costs linear time', () => {
  const frame = encodeFrame({ s: 'x'.repeat(500_000) })
  const decoder = new FrameDecoder({ maxMessageBytes: 1_000_000 })
  const messages: unknown[] = []
  // Copying all that came before with each byte would be 125 GB, minutes instead of milliseconds.
  for (let at = 0; at < frame.length; at++)
    messages.push(...decoder.push(frame.subarray(at, at + 1)).messages)
  expect(messages).toHaveLength(1)
})

test('of duplicate keys the last one counts', () => {
  expect(new FrameDecoder().push(bytes('{"a":1,"a":2}\0')).messages).toEqual([{ a: 2 }])
})

test('a __proto__ key is a key and changes no prototype', () => {
  const [message] = new FrameDecoder().push(bytes('{"__proto__":{"method":"a.b"}}\0')).messages
  expect(message?.method).toBeUndefined()
  expect(Object.keys(message ?? {})).toEqual(['__proto__'])
})

test('the decoder does not keep the chunk', () => {
  const decoder = new FrameDecoder()
  const chunk = bytes('{"a":')
  decoder.push(chunk)
  chunk.fill(0x20)
  expect(decoder.push(bytes('1}\0')).messages).toEqual([{ a: 1 }])
})
