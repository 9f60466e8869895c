import { once } from 'node:events'
import { readdirSync, readlinkSync, readSync, writeSync } from 'node:fs'
import { inspect } from 'node:util'
import { Worker } from 'node:worker_threads'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { eventually } from '../../../test/support/eventually.ts'
import { ScriptedDaemon, type ScriptedMemory } from '../../../test/support/scripted-daemon.ts'
import { TestPage } from '../../../test/support/test-page.ts'

const page = new TestPage()
const { ProtectedMemory, ProtectedMemoryClosedError, ProtectedMemoryWipedError } = await import('./index.ts')
afterAll(() => page[Symbol.dispose]())

const secret = Buffer.from('correct horse battery staple')
const length = 4096
const headerBytes = 64

let daemon: ScriptedDaemon
let memory: ReturnType<typeof ProtectedMemory.create>
let asked: ScriptedMemory
beforeEach(async () => {
  daemon = await ScriptedDaemon.listen(page.runtimeDir)
  memory = ProtectedMemory.create(length)
  asked = await daemon.memory()
})
afterEach(async () => {
  memory.close()
  await daemon[Symbol.asyncDispose]()
})

/** What is in the file, whatever the library says. */
function content(): Buffer {
  const bytes = Buffer.alloc(asked.parameters.length)
  expect(readSync(asked.parameters.fd, bytes, 0, bytes.length, 0)).toBe(bytes.length)
  return bytes
}

/** As the daemon does it. */
function overwrite(): void {
  writeSync(asked.parameters.fd, Buffer.alloc(asked.parameters.length), 0, asked.parameters.length, 0)
}

const read = () => memory.use((view) => Buffer.from(view.subarray(0, secret.length)).toString())
const isEmpty = (bytes: Uint8Array) => bytes.every((byte) => byte === 0)
const wiped = expect.objectContaining({
  name: 'ProtectedMemoryWipedError',
  code: 'ERR_SNAPSAFE_MEMORY_WIPED',
  message: expect.stringContaining('overwritten'),
})

describe('protected memory', () => {
  it('gives back what was written, with zeros behind it', () => {
    memory.write(secret)
    expect(memory.state).toBe('intact')
    const seen = memory.use((view) => Buffer.from(view))
    expect(seen).toHaveLength(length)
    expect(seen.subarray(0, secret.length)).toEqual(secret)
    expect(isEmpty(seen.subarray(secret.length))).toBe(true)
    expect(content().subarray(headerBytes, headerBytes + secret.length)).toEqual(secret)
  })

  it('cannot be used before anything was written', () => {
    expect(memory.state).toBe('empty')
    const fn = vi.fn()
    expect(() => memory.use(fn)).toThrow(ProtectedMemoryWipedError)
    expect(() => memory.use(fn)).toThrow('nothing was written')
    expect(() => memory.write(secret, 1)).toThrow('nothing was written')
    expect(fn).not.toHaveBeenCalled()
  })

  it('begins a new secret at offset 0, and adds to it at any other', () => {
    memory.write(Buffer.alloc(length, 0xff))
    memory.write(secret.subarray(0, 8))
    memory.write(secret.subarray(8), 8)
    expect(read()).toBe(secret.toString())
    expect(isEmpty(content().subarray(headerBytes + secret.length))).toBe(true)
  })

  it('is gone when the generation has moved, and what was left is overwritten', () => {
    memory.write(secret)
    page.bump()
    expect(memory.state).toBe('wiped')
    expect(read).toThrow(wiped)
    expect(isEmpty(content())).toBe(true)
    expect(read).toThrow(wiped)
    memory.write(secret)
    expect(read()).toBe(secret.toString())
  })

  it('takes nothing more for a secret that is gone', () => {
    memory.write(secret.subarray(0, 8))
    page.bump()
    expect(() => memory.write(secret.subarray(8), 8)).toThrow(wiped)
    expect(isEmpty(content())).toBe(true)
  })

  it('is gone when another process has overwritten it', () => {
    memory.write(secret)
    overwrite()
    expect(memory.state).toBe('wiped')
    const fn = vi.fn()
    expect(() => memory.use(fn)).toThrow(wiped)
    expect(fn).not.toHaveBeenCalled()
  })

  it.each([
    ['another process overwrites it', overwrite],
    ['the generation moves', () => page.bump()],
  ])('gives no result where %s meanwhile', async (_, event) => {
    const use = () =>
      memory.use(() => {
        event()
        return 'made of zeros'
      })
    memory.write(secret)
    expect(use).toThrow(wiped)
    expect(isEmpty(content())).toBe(true)

    memory.write(secret)
    const later = memory.use(async (view) => {
      expect(Buffer.from(view.subarray(0, secret.length))).toEqual(secret)
      await new Promise(setImmediate)
      event()
      return 'made of zeros'
    })
    await expect(later).rejects.toThrow(wiped)
    expect(isEmpty(content())).toBe(true)
  })

  it('says that the secret is gone rather than what came of that', async () => {
    const cause = new Error('the key is all zeros')
    const fail = () => {
      overwrite()
      throw cause
    }
    memory.write(secret)
    expect(() => memory.use(fail)).toThrow(
      expect.objectContaining({ code: 'ERR_SNAPSAFE_MEMORY_WIPED', cause }),
    )
    memory.write(secret)
    await expect(memory.use(async () => fail())).rejects.toMatchObject({ cause })
  })

  it('throws on what the function throws, and awaits what it returns', async () => {
    memory.write(secret)
    const cause = new Error('of its own')
    const fail = () => {
      throw cause
    }
    expect(() => memory.use(fail)).toThrow(cause)
    await expect(memory.use(async () => fail())).rejects.toBe(cause)
    expect(await memory.use(async () => 7)).toBe(7)
    // biome-ignore lint/suspicious/noThenProperty: it is what is tried
    expect(await memory.use(() => ({ then: (resolve: (value: number) => void) => resolve(8) }))).toBe(8)
    expect(memory.state).toBe('intact')
  })

  it('rejects a promise whose secret was replaced, and keeps the new one', async () => {
    memory.write(Buffer.alloc(8, 1))
    const later = memory.use(() => new Promise(setImmediate))
    memory.write(secret)
    await expect(later).rejects.toThrow('replaced')
    expect(read()).toBe(secret.toString())
  })

  it('refuses what it cannot hold', () => {
    const { write } = memory
    for (const bytes of [undefined, null, 'secret', [1], new Uint16Array(2), new ArrayBuffer(2)]) {
      expect(() => write.call(memory, bytes as never)).toThrow(TypeError)
    }
    for (const [bytes, offset] of [
      [new Uint8Array(0), 0],
      [new Uint8Array(length + 1), 0],
      [secret, length - secret.length + 1],
      [secret, -1],
      [secret, 0.5],
      [secret, '0'],
    ] as const) {
      expect(() => memory.write(bytes, offset as number), String(offset)).toThrow(RangeError)
    }
    expect(() => memory.use('fn' as never)).toThrow(TypeError)
    expect(memory.state).toBe('empty')
    memory.write(secret)
    expect(() => memory.use((view) => memory.write(view))).toThrow(TypeError)
  })

  it.each([0, -1, 1.5, 2 ** 20 + 1, Number.NaN, '32', undefined])('has no length of %s', (wrong) => {
    expect(() => ProtectedMemory.create(wrong as number)).toThrow(RangeError)
  })

  it('holds a mebibyte', () => {
    using large = ProtectedMemory.create(2 ** 20)
    large.write(Buffer.alloc(2 ** 20, 7))
    expect(large.use((view) => view.every((byte) => byte === 7))).toBe(true)
  })

  it('is not shown', () => {
    memory.write(secret)
    const shown = [inspect(memory, { showHidden: true, depth: 9 }), JSON.stringify({ memory }), `${memory}`]
    expect(shown[0]).toBe("ProtectedMemory { length: 4096, state: 'intact', protectedByDaemon: false }")
    expect(JSON.parse(shown[1] as string).memory).toEqual({
      length,
      state: 'intact',
      protectedByDaemon: false,
    })
    for (const text of shown) {
      expect(text).not.toContain(secret.toString())
      expect(text).not.toMatch(/99, ?111|63 ?6f/)
    }
    expect(structuredClone(memory)).not.toHaveProperty('state')
  })
})

describe('memory that was closed', () => {
  it('is empty, and throws at any use', () => {
    memory.write(secret)
    let view: Uint8Array = new Uint8Array()
    memory.use((given) => {
      view = given
    })
    const kept = Buffer.from(secret)
    expect(Buffer.from(view.subarray(0, kept.length))).toEqual(kept)
    memory.close()
    memory.close()
    expect(isEmpty(view)).toBe(true)
    expect(memory.state).toBe('empty')
    for (const use of [
      () => memory.use(() => {}),
      () => memory.write(secret),
      () => memory.write(secret, 1),
    ]) {
      expect(use).toThrow(ProtectedMemoryClosedError)
      expect(use).toThrow(expect.objectContaining({ code: 'ERR_SNAPSAFE_MEMORY_CLOSED' }))
    }
  })

  it('is so at the end of its block, or when its signal is aborted', async () => {
    const files = () =>
      readdirSync('/proc/self/fd').filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).startsWith('/memfd:snapsafe')
        } catch {
          return false
        }
      }).length
    const before = files()
    {
      using other = ProtectedMemory.create(8)
      expect(other.state).toBe('empty')
      expect(files()).toBe(before + 1)
    }
    expect(files()).toBe(before)
    const over = new AbortController()
    const other = ProtectedMemory.create(8, { signal: over.signal })
    other.write(Buffer.alloc(8, 1))
    const { registered } = other
    over.abort(new Error('the program ends'))
    expect(files()).toBe(before)
    await expect(registered).rejects.toThrow('the program ends')
    expect(() => other.use(() => {})).toThrow(ProtectedMemoryClosedError)
    expect(() => ProtectedMemory.create(8, { signal: over.signal })).toThrow('the program ends')
    expect(files()).toBe(before)
  })

  it('gives no result to a promise that was under way', async () => {
    memory.write(secret)
    const later = memory.use(() => new Promise(setImmediate))
    memory.close()
    await expect(later).rejects.toThrow(ProtectedMemoryClosedError)
  })
})

describe('the daemon', () => {
  it('is asked to protect header and secret, and says when it does', async () => {
    expect(asked.parameters).toEqual({ fd: expect.any(Number), length: headerBytes + length })
    expect(memory.protectedByDaemon).toBe(false)
    asked.tell('registered', page.generation)
    await memory.registered
    expect(memory).toMatchObject({ protectedByDaemon: true, problem: undefined })
    memory.write(secret)
    // A restore: overwritten first, then the generation moves, then it is told.
    overwrite()
    page.bump()
    asked.tell('wiped', page.generation)
    expect(read).toThrow(wiped)
    memory.write(secret)
    await new Promise(setImmediate)
    expect(read()).toBe(secret.toString())
  })

  it('is asked again when it is back', async () => {
    asked.tell('registered', page.generation)
    await memory.registered
    memory.write(secret)
    await daemon.drop()
    await eventually('it is known to be gone', () => !memory.protectedByDaemon)
    expect(memory.problem).toBeInstanceOf(Error)
    asked = await daemon.memory(2)
    asked.tell('registered', page.generation)
    await eventually('it protects', () => memory.protectedByDaemon)
    expect(memory.problem).toBeUndefined()
    expect(read()).toBe(secret.toString())
  })

  it('need not have been there: the secret of a past generation is overwritten when it is back', async () => {
    asked.tell('registered', page.generation)
    await memory.registered
    memory.write(secret)
    await daemon.drop()
    page.bump()
    expect(isEmpty(content())).toBe(false)
    asked = await daemon.memory(2)
    asked.tell('registered', page.generation)
    await eventually('it is overwritten', () => isEmpty(content()))
    expect(memory.state).toBe('wiped')
  })

  it('that lags behind does not take a secret of the current generation', async () => {
    page.bump()
    memory.write(secret)
    asked.tell('registered', page.generation - 1)
    await memory.registered
    expect(read()).toBe(secret.toString())
  })

  it('is asked no more, and forgets, when the memory is closed', async () => {
    const { registered } = memory
    memory.close()
    await expect(registered).rejects.toMatchObject({ name: 'AbortError' })
    expect(memory.protectedByDaemon).toBe(false)
    await daemon.drop()
    using _ = ProtectedMemory.create(8)
    await daemon.memory(2)
    expect(daemon.memories).toHaveLength(2)
  })
})

it('never gives zeros for a secret, whenever it is overwritten', async () => {
  const large = ProtectedMemory.create(2 ** 18)
  using _ = large
  const { fd, length: fileBytes } = (await daemon.memory(2)).parameters
  const overwriting = `
    const { workerData: { fd, fileBytes }, parentPort } = require('node:worker_threads')
    const { writeSync } = require('node:fs')
    const zeros = Buffer.alloc(fileBytes)
    let running = true
    parentPort.on('message', () => { running = false; parentPort.close() })
    const some = () => {
      for (let i = 0; i < 20; i++) {
        writeSync(fd, zeros, 0, 64, 0)
        writeSync(fd, zeros, 0, fileBytes, 0)
        for (let left = Math.random() * 1e5; left > 0; left--);
      }
      if (running) setImmediate(some)
    }
    some()
    parentPort.postMessage('running')`
  const worker = new Worker(overwriting, { eval: true, workerData: { fd, fileBytes } })
  await once(worker, 'message')
  const wanted = Buffer.alloc(2 ** 18, 0xaa)
  const seen = { whole: 0, gone: 0, broken: 0 }
  // Until both have happened often: how soon, the machine decides.
  const deadline = performance.now() + 60_000
  while (Math.min(seen.whole, seen.gone) < 500 && performance.now() < deadline) {
    try {
      large.write(wanted)
      for (let turn = 0; turn < 20; turn++) {
        if (large.use((view) => wanted.equals(view))) seen.whole++
        else seen.broken++
      }
    } catch (error) {
      expect(error).toBeInstanceOf(ProtectedMemoryWipedError)
      seen.gone++
    }
  }
  worker.postMessage('stop')
  await once(worker, 'exit')
  expect(seen.broken).toBe(0)
  expect(Math.min(seen.whole, seen.gone)).toBeGreaterThanOrEqual(500)
}, 90_000)
