import { closeSync, constants, openSync, readSync } from 'node:fs'
import type { NativeAddon } from 'snapsafe/native'
import { isVmFork, parseKmsgRecord } from './kmsg-record.ts'
import type { Source, SourceContext, SourceEvidence, SourceMemory } from './source.ts'
import { SourceUnavailableError } from './source.ts'

/** PRINTK_MESSAGE_MAX and the prefix; a shorter buffer makes the kernel answer EINVAL. */
const recordBytes = 8192 + 256
/** How many records are read before other work of the process gets its turn. */
const recordsPerTurn = 512

/** After how many records it is put on record again how far the log was read: a daemon that is killed reads those twice. */
const rememberEvery = 256

const forkEvidence: SourceEvidence = {
  source: 'kmsg',
  kind: 'edge',
  cause: 'clone',
  detail: 'the kernel log says that the machine was forked',
  kernelReseeded: true,
}
const gapEvidence: SourceEvidence = {
  source: 'kmsg',
  kind: 'edge',
  cause: 'ambiguous',
  detail: 'kernel log records were overwritten before they were read, and one may have told of a restore',
  kernelReseeded: false,
}

/**
 * The kernel log: since Linux 5.18 the VMGenID driver reseeds the kernel's generator when the hypervisor's id has changed, and
 * the kernel says so in one line. An edge; it comes tens of milliseconds after the first instruction of the clone.
 * It cannot work where the driver is missing (Debian's 6.1 cloud kernel), and says nothing of a rollback to the same id.
 */
export function kmsgSource(addon: NativeAddon, path = '/dev/kmsg'): Source {
  const buffer = Buffer.alloc(recordBytes)
  let fd: number | undefined
  let poller: ReturnType<NativeAddon['pollReadable']> | undefined
  /** The last record that was read, and the last that told of a fork; -1: none. */
  let last = { sequence: -1, fork: -1 }
  let remembered = -1
  let look = (): void => {}

  /** Reads up to `limit` records. `gap`: some were overwritten before they were read. */
  function drain(limit: number): { forks: number[]; gap: boolean } {
    const forks: number[] = []
    let gap = false
    for (let count = 0; fd !== undefined && count < limit; count++) {
      const result = readRecord(fd, buffer)
      if (result === 'empty') break
      if (result === 'overrun') {
        gap = true
        continue
      }
      const record = parseKmsgRecord(result)
      if (!record || record.sequence <= last.sequence) continue
      // Records are numbered without a gap; -1 is a beginning, of which nothing is known.
      if (last.sequence >= 0 && record.sequence > last.sequence + 1) gap = true
      last = { ...last, sequence: record.sequence }
      if (isVmFork(record)) forks.push(record.sequence)
    }
    return { forks, gap }
  }

  function report(context: SourceContext, { forks, gap }: ReturnType<typeof drain>): void {
    for (const fork of forks) {
      last = { ...last, fork }
      context.report({ ...forkEvidence, detail: `${forkEvidence.detail} (record ${fork})` }, memory())
    }
    // What was overwritten may have told of a restore. A line that was read is that very one, or a later one: told either way.
    if (gap && forks.length === 0) context.report(gapEvidence, memory())
    if (last.sequence - remembered >= rememberEvery) context.remember(memory())
  }

  function memory(): SourceMemory {
    remembered = last.sequence
    return { lastSequence: last.sequence, lastForkSequence: last.fork }
  }

  function close(): void {
    look = () => {}
    if (poller) addon.pollStop(poller)
    poller = undefined
    if (fd !== undefined) closeSync(fd)
    fd = undefined
  }

  return {
    name: 'kmsg',
    kind: 'edge',
    async start(context) {
      fd = open(path)
      const { lastSequence: sequence, lastForkSequence: fork } = context.memory ?? {}
      if (typeof sequence === 'number' && typeof fork === 'number') last = { sequence, fork }
      // A first daemon takes what is in the log as the past of this boot. A later one finds there what it has missed.
      const found = drain(Number.POSITIVE_INFINITY)
      if (context.continued) report(context, found)
      else last = { ...last, fork: found.forks.at(-1) ?? -1 }
      context.remember(memory())
      look = () => {
        try {
          report(context, drain(recordsPerTurn))
        } catch (failure) {
          stop(failure as Error)
        }
      }
      poller = addon.pollReadable(fd, (error) => {
        if (error) stop(new Error(`waiting for ${path} failed: ${error}`))
        else look()
      })

      function stop(failure: Error): void {
        close()
        context.fail(failure)
      }
    },
    sample: () => look(),
    close,
  }
}

function open(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why =
      code === 'EACCES' || code === 'EPERM'
        ? 'permission denied; run as root, or with CAP_SYSLOG where kernel.dmesg_restrict is 1'
        : `${(error as Error).message}`
    throw new SourceUnavailableError(`cannot open ${path}: ${why}`)
  }
}

function readRecord(fd: number, buffer: Buffer): string | 'empty' | 'overrun' {
  try {
    const length = readSync(fd, buffer)
    return length === 0 ? 'empty' : buffer.toString('utf8', 0, length)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EAGAIN') return 'empty'
    if (code === 'EPIPE') return 'overrun'
    throw error
  }
}
