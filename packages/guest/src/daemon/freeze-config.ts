import { z } from 'zod'
import { groupPathFault } from '../system/cgroup/group-path.ts'
import { durationMs } from './config-values.ts'

/** A timer of Node that is longer than 24 days fires at once. */
const longestMs = 86_400_000

/** Below that of the state machine (orchestrator/quiesce.ts), which cannot say what does not freeze. */
const maxTimeoutMs = 25_000

const duration = durationMs.refine((ms) => ms <= longestMs, { message: 'is longer than a day' })

const group = z.string().transform((path, context) => {
  const fault = groupPathFault(path)
  if (fault === undefined) return path
  context.addIssue({ code: 'custom', message: `"${path}" is not the path of a cgroup: it ${fault}` })
  return z.NEVER
})

/** `[freeze]`: what stands still while a planned snapshot is taken, and for how long. */
export const freezeSection = z
  .strictObject({
    /** auto: on where this is the system's own daemon, or groups are named. off: a planned snapshot freezes nothing. */
    mode: z.enum(['auto', 'on', 'off']).default('auto'),
    /** cgroup v2 paths; `*` stands for anything in one part. None: everything, where systemd runs the system. */
    groups: z.array(group).default([]),
    /** cgroup v2 paths that run on, besides those that must. */
    except: z.array(group).default([]),
    /** How long freezing may take before it is given up. */
    timeout: duration
      .prefault('5s')
      .refine((ms) => ms <= maxTimeoutMs, { message: `is longer than ${maxTimeoutMs / 1000}s` }),
    /** How long the watchers have to prepare, where the caller of Quiesce does not say. */
    deadline: duration.prefault('10s'),
    /** How long the workload stays frozen at most, where the caller of Quiesce does not say. */
    thaw_after: duration.prefault('60s'),
    /** No caller of Quiesce gets longer. */
    max_thaw_after: duration.prefault('10m'),
    /** How long Resume waits for a late sign of a restore before it takes this for the original. */
    settle: duration.prefault('1s'),
  })
  .refine(({ thaw_after, max_thaw_after }) => thaw_after <= max_thaw_after, {
    message: 'thaw_after is longer than max_thaw_after; shorten it, or raise max_thaw_after',
    path: ['thaw_after'],
  })

export type FreezeConfig = z.output<typeof freezeSection>
