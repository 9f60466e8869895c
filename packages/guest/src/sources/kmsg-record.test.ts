import { describe, expect, it } from 'vitest'
import { isVmFork, parseKmsgRecord } from './kmsg-record.ts'

/** Recorded on Linux 6.12 in a QEMU guest, restored with another VMGenID. */
const recorded = '5,613,10302112,-;random: crng reseeded due to virtual machine fork\n'

function forks(text: string): boolean {
  const record = parseKmsgRecord(text)
  return record !== undefined && isVmFork(record)
}

describe('a record of the kernel log', () => {
  it('is read with its facility, level and sequence', () => {
    expect(parseKmsgRecord(recorded)).toEqual({
      facility: 0,
      level: 5,
      sequence: 613,
      message: 'random: crng reseeded due to virtual machine fork',
    })
  })

  it('tells of a fork where the kernel wrote it', () => {
    expect(forks(recorded)).toBe(true)
  })

  it('tells of it with caller information and with continuation lines too', () => {
    expect(forks('5,1,2,-,caller=T1;random: crng reseeded due to virtual machine fork\n SUBSYSTEM=x\n')).toBe(
      true,
    )
  })

  it.each([
    [
      'a user wrote it: the kernel makes the facility 1',
      '13,7,2,-;random: crng reseeded due to virtual machine fork\n',
    ],
    ['a daemon wrote it', '29,7,2,-;random: crng reseeded due to virtual machine fork\n'],
    ['it is a part of another line', '5,7,2,-;x: random: crng reseeded due to virtual machine fork\n'],
    ['something follows it', '5,7,2,-;random: crng reseeded due to virtual machine fork!\n'],
    ['it stands in a continuation line', '5,7,2,-;usb\n random: crng reseeded due to virtual machine fork\n'],
    ['it is another line of the generator', '5,7,2,-;random: crng init done\n'],
    ['it is no record', 'random: crng reseeded due to virtual machine fork\n'],
    ['it is empty', ''],
  ])('tells of none where %s', (_, text) => {
    expect(forks(text)).toBe(false)
  })
})
