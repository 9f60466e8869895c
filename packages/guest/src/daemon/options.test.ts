import { describe, expect, it } from 'vitest'
import { readOptions } from './options.ts'

const read = (...args: string[]) => readOptions(['node', 'snapsafed', ...args])

describe('the options', () => {
  it('keep what a trial writes in its own runtime directory', () => {
    expect(read('--runtime-dir', '/tmp/trial')).toMatchObject({
      runtimeDir: '/tmp/trial',
      stateDir: '/tmp/trial/state',
    })
  })

  it('give the system’s own daemon the system’s state directory', () => {
    expect(read('--runtime-dir', '/run/snapsafe').stateDir).toBe('/var/lib/snapsafe')
  })

  it('take a state directory that is named, and make paths absolute', () => {
    expect(read('--runtime-dir', '/run/snapsafe', '--state-dir', 'here').stateDir).toBe(
      `${process.cwd()}/here`,
    )
  })
})
