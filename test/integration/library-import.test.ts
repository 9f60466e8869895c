import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { LibraryProgram, runProgram } from '../support/library-program.ts'
import { TestPage } from '../support/test-page.ts'

const emptyDir = mkdtempSync(join(tmpdir(), 'snapsafe-empty-'))
const page = new TestPage()
afterAll(() => {
  rmSync(emptyDir, { recursive: true })
  page[Symbol.dispose]()
})

const permission =
  Number(process.versions.node.split('.')[0]) < 24 ? '--experimental-permission' : '--permission'
/** Uses each of the exports once. */
const useAll = `
const use = ({ generation, guard, perGeneration, onRestore }) => {
  const hook = onRestore(() => {})
  hook.close()
  const { number, id, supported, reason, page, missing } = generation
  say({ number, id, supported, reason, page, missing, guarded: guard(() => 'made'), value: perGeneration(() => 'kept')() })
}`
const works = { guarded: 'made', value: 'kept' }

describe('importing the library', () => {
  it('opens no socket, starts no timer, leaves nothing running and takes no noticeable time', async () => {
    const { said, ...ended } = await runProgram(
      `
      const { createHook } = await import('node:async_hooks')
      const started = []
      createHook({ init: (_, type) => started.push(type) }).enable()
      const begin = performance.now()
      await import('snapsafe')
      const ms = performance.now() - begin
      say({ ms, started: [...new Set(started)], active: process.getActiveResourcesInfo() })
      `,
      { runtimeDir: page.runtimeDir },
    )
    expect(ended).toEqual({ code: 0, signal: null, stderr: '' })
    const [{ ms, started, active }] = said
    // What remains is reading the modules' files, which is node's.
    expect(started.filter((type: string) => /WRAP|Timeout|Immediate/.test(type))).toEqual([])
    expect(active.filter((name: string) => !/FSReq|CloseReq|Pipe|TTY/.test(name))).toEqual([])
    // Measured: 40 ms for all of its files. This is for the slowest of machines.
    expect(ms).toBeLessThan(2000)
  })

  it('does not hinder a program where there is no daemon, which ends as it wants to', async () => {
    const { said, ...ended } = await runProgram(
      `import * as library from 'snapsafe'
      ${useAll}
      use(library)
      library.onRestore(() => say('never'))
      process.exitCode = 7`,
      { runtimeDir: emptyDir },
    )
    expect(ended).toEqual({ code: 7, signal: null, stderr: '' })
    expect(said).toEqual([
      {
        ...works,
        number: 0,
        supported: false,
        page: 'none',
        missing: [],
        reason: expect.stringContaining(emptyDir),
      },
    ])
    expect(said[0].reason).toContain('is snapsafed running?')
  })

  it('does not hinder a program where the default runtime directory is none', async () => {
    const { said, code } = await runProgram(
      `import * as library from 'snapsafe'
      ${useAll}
      use(library)`,
      { runtimeDir: '/dev/null' },
    )
    expect(code).toBe(0)
    expect(said).toMatchObject([{ ...works, supported: false, reason: expect.stringContaining('ENOTDIR') }])
  })

  it('works without the addon, by reading, and says what is missing', async () => {
    await using program = new LibraryProgram(
      `import { generation, guard, perGeneration } from 'snapsafe'
      const value = perGeneration((made) => made)
      await listen(() => {
        const { number, id, supported, page, missing } = generation
        say({ number, id, supported, page, missing, changed: generation.changedSince(0), guarded: guard((g) => g), value: value() })
      })`,
      { runtimeDir: page.runtimeDir, env: { SNAPSAFE_NO_ADDON: '1' } },
    )
    const first = await program.ask('look')
    expect(first).toMatchObject({ id: page.id, supported: true, page: 'read' })
    expect(first.missing.join()).toContain('OpenSSL cannot be reseeded')
    const number = page.bump()
    expect(await program.ask('look')).toMatchObject({
      number,
      id: page.id,
      changed: true,
      guarded: number,
      value: number,
    })
    program.hangUp()
    expect(await program.ended).toEqual({ code: 0, signal: null, stderr: '' })
  })

  it.each([
    ['the permission model refuses addons', [permission, '--allow-fs-read=*'], 'read'],
    ['intrinsics are frozen', ['--frozen-intrinsics'], 'mapped'],
    ['prototypes are locked', ['--disable-proto=throw'], 'mapped'],
  ])('works where %s', async (_, nodeArgs, how) => {
    const source = `const library = await import('snapsafe')
      ${useAll}
      use(library)`
    const there = await runProgram(source, { runtimeDir: page.runtimeDir, nodeArgs })
    expect(there).toMatchObject({ code: 0, said: [{ ...works, supported: true, page: how, id: page.id }] })
    const without = await runProgram(source, { runtimeDir: emptyDir, nodeArgs })
    expect(without).toMatchObject({ code: 0, said: [{ ...works, supported: false, page: 'none' }] })
    for (const { stderr } of [there, without]) expect(stderr).not.toMatch(/error/i)
  })

  it.each([
    ['import()', `import('snapsafe').then(use)`],
    ['require', `use(require('snapsafe'))`],
  ])('works from CommonJS with %s', async (_, load) => {
    const { code, said } = await runProgram(`${useAll}\n${load}`, {
      runtimeDir: page.runtimeDir,
      type: 'cjs',
    })
    expect(code).toBe(0)
    expect(said).toMatchObject([{ ...works, supported: true }])
  })

  it('goes on to look where it looked at first, wherever the program goes', async () => {
    await using program = new LibraryProgram(
      `const { basename, dirname } = await import('node:path')
      const dir = process.env.SNAPSAFE_RUNTIME_DIR
      process.chdir(dirname(dir))
      process.env.SNAPSAFE_RUNTIME_DIR = basename(dir)
      const { generation, onRestore } = await import('snapsafe')
      process.chdir('/')
      delete process.env.SNAPSAFE_RUNTIME_DIR
      const hook = onRestore(() => {})
      hook.registered.catch(() => {})
      while (!hook.problem) await new Promise(setImmediate)
      say({ problem: hook.problem.message, supported: generation.supported })
      hook.close()`,
      { runtimeDir: page.runtimeDir },
    )
    expect(await program.next()).toEqual({
      problem: expect.stringContaining(page.runtimeDir),
      supported: true,
    })
    expect(await program.ended).toMatchObject({ code: 0 })
  })
})
