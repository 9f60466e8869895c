import { afterAll, expect, it } from 'vitest'
import { LibraryProgram } from '../support/library-program.ts'
import { ScriptedDaemon } from '../support/scripted-daemon.ts'
import { TestPage } from '../support/test-page.ts'

const page = new TestPage()
afterAll(() => page[Symbol.dispose]())

it('ready() keeps its process alive while it waits, and not any longer', async () => {
  await using program = new LibraryProgram(
    `import { ready } from 'snapsafe'
    say('waiting')
    say(await ready())`,
    page,
  )
  expect(await program.next()).toBe('waiting')
  await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
  await daemon.waiting()
  await daemon.drop()
  const call = await daemon.waiting(2)
  const state = daemon.state(3)
  call.reply({ state, progress: { confirmed: 0, of: 0, slowest: [] } })
  expect(await program.next()).toEqual({ generation: 3, id: state.generationId, degraded: false, missed: [] })
  expect(await program.ended).toEqual({ code: 0, signal: null, stderr: '' })
})

it('a hook that is closed last lets its process end, also where the daemon does not answer its leaving', async () => {
  await using daemon = await ScriptedDaemon.listen(page.runtimeDir)
  await using program = new LibraryProgram(
    `import { beforeSnapshot, onRestore } from 'snapsafe'
    const owing = onRestore(() => new Promise(() => {}), { name: 'owing', timeoutMs: 60_000 })
    const idle = beforeSnapshot(() => {}, { name: 'idle' })
    await Promise.all([owing.registered, idle.registered])
    say('registered')
    listen(() => { for (const hook of [owing, idle]) hook.close() })`,
    page,
  )
  for (const name of ['owing', 'idle']) {
    const watch = await daemon.watch(name)
    watch.tell('registered', daemon.state(page.generation), false)
  }
  expect(await program.next()).toBe('registered')
  const owing = await daemon.watch('owing')
  page.bump()
  owing.tell('generation', daemon.state(page.generation), true)
  daemon.answersLeave = false
  program.tell('close')
  program.hangUp()
  expect(await program.ended).toEqual({ code: 0, signal: null, stderr: '' })
})
