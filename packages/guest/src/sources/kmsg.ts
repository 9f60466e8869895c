import { closeSync, constants, openSync, readSync } from 'node:fs'
import type { NativeAddon } from 'snapsafe/native'
import { isVmFork, parseKmsgRecord } from './kmsg-record.ts'
import type { Source, SourceContext } from './source.ts'
import { SourceUnavailableError } from './source.ts'

/** PRINTK_MESSAGE_MAX and the prefix; a shorter buffer makes the kernel answer EINVAL. */
const recordBytes = 8192 + 256
/** How many records are read before other work of the process gets its turn. */
const recordsPerTurn = 512

/**
 * The kernel log: since Linux 5.18 the VMGenID driver reseeds the kernel's generator when the hypervisor's id has changed, and
 * the kernel says so in one line. An edge; it comes tens of milliseconds after the first instruction of the clone.
 * It cannot work where the driver is missing (Debian's 6.1 cloud kernel), and says nothing of a rollback to the same id.
 */
export function kmsgSource(addon: NativeAddon, path = '/dev/kmsg'): Source {
  const buffer = Buffer.alloc(recordBytes)
  let fd: number | undefined
  let poller: ReturnType<NativeAddon['pollReadable']> | undefined
  let lastForkSequence = -1

  function drain(context: SourceContext, limit: number, onFork: (sequence: number) => void): void {
    for (let count = 0; fd !== undefined && count < limit; count++) {
      const result = readRecord(fd, buffer)
      if (result === 'empty') return
      if (result === 'overrun') {
        // Records were overwritten before they were read; the line may have been among them.
        reportOverrun(context)
        continue
      }
      const record = parseKmsgRecord(result)
      if (record && isVmFork(record) && record.sequence > lastForkSequence) onFork(record.sequence)
    }
  }

  function reportFork(context: SourceContext, sequence: number): void {
    lastForkSequence = sequence
    context.report(
      {
        source: 'kmsg',
        kind: 'edge',
        cause: 'clone',
        detail: `the kernel log says that the machine was forked (record ${sequence})`,
        kernelReseeded: true,
      },
      { lastForkSequence },
    )
  }

  function reportOverrun(context: SourceContext): void {
    context.report(
      {
        source: 'kmsg',
        kind: 'edge',
        cause: 'ambiguous',
        detail:
          'kernel log records were overwritten before they were read, and one may have told of a restore',
        kernelReseeded: false,
      },
      { lastForkSequence },
    )
  }

  function close(): void {
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
      const known = context.memory?.lastForkSequence
      lastForkSequence = typeof known === 'number' ? known : -1
      // A first daemon takes what is in the log as the past of this boot. A later one finds there what it has missed.
      const missed: number[] = []
      drain({ ...context, report: () => {} }, Number.POSITIVE_INFINITY, (sequence) => missed.push(sequence))
      if (context.continued) for (const sequence of missed) reportFork(context, sequence)
      else lastForkSequence = missed.at(-1) ?? lastForkSequence
      context.remember({ lastForkSequence })
      poller = addon.pollReadable(fd, (error) => {
        try {
          if (error) throw new Error(`waiting for ${path} failed: ${error}`)
          drain(context, recordsPerTurn, (sequence) => reportFork(context, sequence))
        } catch (failure) {
          close()
          context.fail(failure as Error)
        }
      })
    },
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
