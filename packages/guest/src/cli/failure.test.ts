import { interfaceName, serviceErrors, VarlinkError } from 'snapsafe/protocol'
import { describe, expect, it } from 'vitest'
import { failureOf } from './failure.ts'

describe('an error of the daemon', () => {
  it.each([
    [
      'Vetoed',
      { name: 'db', pid: 12, reason: 'a backup runs' },
      'db (pid 12) does not want the snapshot: a backup runs; everything goes on as before',
      3,
    ],
    [
      'QuiesceFailed',
      { reason: 'cannot freeze /a' },
      'the system could not be quiesced: cannot freeze /a; everything goes on as before',
      1,
    ],
    ['WrongPhase', { phase: 'adjusting' }, 'the guest is adjusting; wait for ready first: snapsafe wait', 3],
    [
      'WrongPhase',
      { phase: 'quiesced' },
      'the system is quiesced for a snapshot; let it go on first: snapsafe resume',
      3,
    ],
    [
      'WrongPhase',
      { phase: 'quiescing' },
      'a snapshot is being prepared for; wait until it is taken, or end the command that asked for it',
      3,
    ],
    ['StaleQuiesce', {}, 'the planned snapshot is over, or it is another one', 1],
    ['NotProtectable', { reason: 'not a memfd' }, 'the daemon cannot protect this memory: not a memfd', 1],
  ])('%s is told with what it means: %j', (name, parameters, message, exitCode) => {
    const failure = failureOf(new VarlinkError(`${interfaceName}.${name}`, parameters))
    expect(failure).toMatchObject({ message, exitCode })
  })

  it.each([
    [
      'thawAfterMs',
      '--thaw-after is longer than freeze.max_thaw_after in snapsafed.toml allows, or not over 0',
    ],
    ['reason', '--reason is longer than 200 characters'],
    ['of a later daemon', 'the daemon does not take this of a later daemon'],
  ])('InvalidParameter of %s is told as what the command takes', (parameter, message) => {
    expect(failureOf(serviceErrors.invalidParameter(parameter))).toMatchObject({ message, exitCode: 2 })
  })
})
