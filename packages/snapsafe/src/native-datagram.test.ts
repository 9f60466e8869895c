import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { lacking } from '../../../test/support/needs.ts'
import { loadNative, type NativeAddon } from './native.ts'

const loaded = loadNative()
if (loaded.addon === undefined)
  throw new Error(`${loaded.reason}; these tests need it: node tools/build-addon.mjs`)
const native: NativeAddon = loaded.addon
const lackPython = lacking('python3')
const directory = mkdtempSync(join(tmpdir(), 'snapsafe-datagram-'))
afterAll(() => rmSync(directory, { recursive: true }))

/** Node cannot receive descriptors. Prints for each datagram its text, and what is read through its descriptors. */
const receiver = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound')
for _ in range(2):
  data, fds, flags, _ = socket.recv_fds(s, 4096, 8)
  print(data.decode(), [os.read(fd, 100).decode() for fd in fds])
`

const withCode = (code: string) => expect.objectContaining({ code })

describe.skipIf(lackPython)(`a datagram${lackPython ? ` (${lackPython})` : ''}`, () => {
  it('brings its bytes, and a descriptor of the same open file where one is given', async () => {
    const path = join(directory, 'receiver')
    const file = join(directory, 'file')
    writeFileSync(file, 'the content')
    const child = spawn('python3', ['-u', '-c', receiver, path], { stdio: ['ignore', 'pipe', 'inherit'] })
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    await once(child.stdout, 'data')
    const fd = openSync(file, 'r')
    readSync(fd, Buffer.alloc(4))
    native.sendDatagram(path, Buffer.from('FDSTORE=1'), fd)
    closeSync(fd)
    native.sendDatagram(path, Buffer.from('READY=1'))
    expect(await once(child, 'close')).toEqual([0, null])
    expect(said).toBe("bound\nFDSTORE=1 ['content']\nREADY=1 []\n")
  })
})

describe('sending a datagram', () => {
  const bytes = new Uint8Array(1)

  it('fails by name where nobody listens, and for a descriptor that is closed', () => {
    expect(() => native.sendDatagram(join(directory, 'nobody'), bytes)).toThrow(withCode('ENOENT'))
    const fd = openSync('/dev/null', 'r')
    closeSync(fd)
    expect(() => native.sendDatagram(join(directory, 'nobody'), bytes, fd)).toThrow(withCode('EBADF'))
  })

  it('refuses wrong arguments', () => {
    for (const path of [undefined, 1, null, {}]) {
      expect(() => native.sendDatagram(path as never, bytes)).toThrow(withCode('ERR_INVALID_ARG_TYPE'))
    }
    for (const path of ['', 'x'.repeat(107), 'x'.repeat(1000)]) {
      expect(() => native.sendDatagram(path, bytes)).toThrow(withCode('ERR_OUT_OF_RANGE'))
    }
    expect(() => native.sendDatagram('x', 'READY=1' as never)).toThrow(withCode('ERR_INVALID_ARG_TYPE'))
    for (const fd of [null, '1', {}, true]) {
      expect(() => native.sendDatagram('x', bytes, fd as never)).toThrow(withCode('ERR_INVALID_ARG_TYPE'))
    }
    for (const fd of [-1, 0.5, 2 ** 31]) {
      expect(() => native.sendDatagram('x', bytes, fd)).toThrow(withCode('ERR_OUT_OF_RANGE'))
    }
  })
})
