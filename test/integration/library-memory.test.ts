import { afterAll, describe, expect, it } from 'vitest'
import { LibraryProgram } from '../support/library-program.ts'
import { TestPage } from '../support/test-page.ts'

const page = new TestPage()
afterAll(() => page[Symbol.dispose]())

/** Collects in `reached` all that can be reached from the exports of the library, and from what they give. */
const walk = `
import * as library from 'snapsafe'
import * as diagnostics from 'node:diagnostics_channel'
import { types } from 'node:util'
const { generation, guard, perGeneration, onRestore, GenerationUnstableError, HookTimeoutError } = library
const messages = []
for (const name of ['renewed', 'hook', 'discard-failed']) diagnostics.subscribe('snapsafe:' + name, (m) => messages.push(m))
const hook = onRestore((event) => messages.push(event))
const value = perGeneration((made) => ({ made }))
const roots = [library, hook, value, value(), guard((made) => made), messages,
  new GenerationUnstableError('x'), new HookTimeoutError('x')]
const reached = new Map()
function visit(thing, path) {
  if (thing === null || (typeof thing !== 'object' && typeof thing !== 'function')) return
  if (reached.has(thing) || thing === globalThis) return
  reached.set(thing, path)
  visit(Object.getPrototypeOf(thing), path + '.__proto__')
  for (const key of Reflect.ownKeys(thing)) {
    const at = path + '.' + String(key)
    const { get, set, value } = Object.getOwnPropertyDescriptor(thing, key)
    visit(value, at); visit(get, at + '[get]'); visit(set, at + '[set]')
    try { visit(thing[key], at) } catch {}
  }
}
visit(roots, '')
const isMemory = (thing) => ArrayBuffer.isView(thing) || types.isAnyArrayBuffer(thing)
hook.close()
`

describe('the memory of the page', () => {
  it('is nowhere to be reached from the library', async () => {
    await using program = new LibraryProgram(
      `${walk}
      say({ page: generation.page, count: reached.size, memory: [...reached].filter(([it]) => isMemory(it)).map(([, path]) => path) })
      // The walk does find such things.
      const proof = { deep: [{ get it() { return new Uint8Array(1) } }] }
      visit(proof, 'proof')
      say([...reached].filter(([it]) => isMemory(it)).map(([, path]) => path))`,
      { runtimeDir: page.runtimeDir },
    )
    const { count, ...found } = await program.next()
    expect(found).toEqual({ page: 'mapped', memory: [] })
    expect(count).toBeGreaterThan(50)
    expect(await program.next()).toContain('proof.deep.0.it')
    expect(await program.ended).toMatchObject({ code: 0, stderr: '' })
  })

  it('stays what it is, whatever a script does with all that it can reach', async () => {
    await using program = new LibraryProgram(
      `import { MessageChannel } from 'node:worker_threads'
      // Also what is called with the memory after a script has changed it must not get it.
      const seen = []
      for (const [target, name] of [[Atomics, 'load'], [Atomics, 'store'], [Reflect, 'get'], [Array, 'from']]) {
        const original = target[name]
        target[name] = (...args) => { seen.push(...args); return original(...args) }
      }
      ${walk}
      const { port1 } = new MessageChannel()
      // Node's own objects are not of the library.
      const own = [...reached].filter(([, path]) => !/__proto__|constructor|\\.prototype/.test(path)).map(([it]) => it)
      for (const thing of own) {
        for (const attack of [
          () => structuredClone(thing),
          () => structuredClone(thing, { transfer: [thing] }),
          () => port1.postMessage(thing),
          () => port1.postMessage(thing, [thing]),
          () => { for (const key of Reflect.ownKeys(thing)) thing[key] = 1 },
          () => { thing[0] = 0xffffffff },
          () => thing.fill(1),
          () => Object.defineProperty(thing, 'number', { value: 1 }),
          () => typeof thing === 'function' && thing.call(new Uint8Array(8), new Uint8Array(8), {}, []),
          () => typeof thing === 'function' && new thing(new Uint8Array(8), {}),
          () => { for (const key of Reflect.ownKeys(thing)) delete thing[key] },
        ]) {
          try { Promise.resolve(attack()).catch(() => {}) } catch {}
        }
      }
      port1.close()
      gc()
      const look = () => say({ number: generation.number, id: generation.id, memory: seen.filter(isMemory).length })
      look()
      await listen(look)
      // ready() was called as well, and there is no daemon that would end its waiting.
      process.exit()`,
      { runtimeDir: page.runtimeDir, nodeArgs: ['--expose-gc'] },
    )
    const told = { id: page.id, number: page.generation, memory: 0 }
    expect(await program.next()).toEqual(told)
    const number = page.bump()
    expect(await program.ask('look')).toEqual({ id: page.id, number, memory: 0 })
    program.hangUp()
    expect(await program.ended).toMatchObject({ code: 0, signal: null, stderr: '' })
  })

  it('is mapped by each worker thread for itself, which sees the changes, also one that began later', async () => {
    await using program = new LibraryProgram(
      `import { generation, guard } from 'snapsafe'
      import { isMainThread, parentPort, Worker } from 'node:worker_threads'
      const look = () => ({ number: generation.number, page: generation.page, guarded: guard((made) => made) })
      if (isMainThread) {
        const workers = []
        await listen(async (what) => {
          if (what === 'more') workers.push(new Worker(new URL(import.meta.url)))
          const answers = workers.map((worker) => new Promise((resolve, reject) => {
            worker.once('message', resolve).once('error', reject)
            worker.postMessage('look')
          }))
          say([look(), ...await Promise.all(answers)])
        })
        for (const worker of workers) worker.terminate()
      } else {
        parentPort.on('message', () => parentPort.postMessage(look()))
      }`,
      { runtimeDir: page.runtimeDir },
    )
    const expected = (number: number, threads: number) =>
      Array.from({ length: threads }, () => ({ number, page: 'mapped', guarded: number }))
    await program.ask('more')
    expect(await program.ask('more')).toEqual(expected(page.generation, 3))
    const number = page.bump()
    expect(await program.ask('look')).toEqual(expected(number, 3))
    expect(await program.ask('more')).toEqual(expected(number, 4))
    program.hangUp()
    expect(await program.ended).toMatchObject({ code: 0, stderr: '' })
  })
})
