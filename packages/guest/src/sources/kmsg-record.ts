/** drivers/char/random.c, add_vmfork_randomness(); the prefix is the file's pr_fmt. */
export const vmForkMessage = 'random: crng reseeded due to virtual machine fork'

/** One record of /dev/kmsg (Documentation/ABI/testing/dev-kmsg). */
export interface KmsgRecord {
  /** 0 is the kernel. A record that was written to /dev/kmsg never has it: the kernel makes it 1 (user). */
  readonly facility: number
  readonly level: number
  /** Counts all records since boot, without a gap. */
  readonly sequence: number
  readonly message: string
}

/** Reads `prio,sequence,timestamp,flags[,…];message\n` and the continuation lines after it; undefined where it is not that. */
export function parseKmsgRecord(text: string): KmsgRecord | undefined {
  const match = /^(\d+),(\d+),\d+,[^;\n]*;([^\n]*)(?:\n|$)/.exec(text)
  if (!match) return undefined
  const [, prefix, sequence, message = ''] = match
  const priority = Number(prefix)
  return { facility: priority >> 3, level: priority & 7, sequence: Number(sequence), message }
}

/** Whether the kernel itself says here that it reseeded for a new VMGenID. */
export function isVmFork(record: KmsgRecord): boolean {
  return record.facility === 0 && record.message === vmForkMessage
}
