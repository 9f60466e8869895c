import { describe, expect, it } from 'vitest'
import { inheritedDescriptors } from './systemd.ts'

const pid = String(process.pid)

describe('the descriptors that a service manager hands over', () => {
  it.each([
    ['none where it hands over none', {}, undefined, []],
    ['none where they are meant for another process', { LISTEN_PID: '1', LISTEN_FDS: '2' }, undefined, []],
    ['a socket without a name', { LISTEN_PID: pid, LISTEN_FDS: '1' }, 3, []],
    [
      'a socket and connections of watchers, in any order',
      { LISTEN_PID: pid, LISTEN_FDS: '3', LISTEN_FDNAMES: 'watch-7:snapsafed.socket:watch-12' },
      4,
      [
        { id: '7', fd: 3 },
        { id: '12', fd: 5 },
      ],
    ],
    [
      'connections without a socket',
      { LISTEN_PID: pid, LISTEN_FDS: '1', LISTEN_FDNAMES: 'watch-7' },
      undefined,
      [{ id: '7', fd: 3 }],
    ],
    [
      'the first of several sockets',
      { LISTEN_PID: pid, LISTEN_FDS: '2', LISTEN_FDNAMES: 'unknown:unknown' },
      3,
      [],
    ],
    ['none where their number is none', { LISTEN_PID: pid, LISTEN_FDS: 'many' }, undefined, []],
  ])('are %s', (_, env, listening, stored) => {
    expect(inheritedDescriptors(env)).toEqual({ listening, stored })
  })
})
