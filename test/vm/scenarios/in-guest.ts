import type { State } from 'snapsafe/protocol'
import { bootGuest } from '../framework/boot-guest.ts'
import type { Guest } from '../framework/guest.ts'
import { guestUserId } from '../framework/guest-system.ts'
import type { Scenario, ScenarioResult } from './scenario.ts'
import { snapsafe, startDaemon } from './snapsafe-guest.ts'
import { guestPrograms, snapsafeTrees } from './snapsafe-tree.ts'

const forkLine = 'random: crng reseeded due to virtual machine fork'

export interface InGuestResult extends ScenarioResult {
  /** After root wrote the kernel's line to the kernel log, with and without a priority. */
  readonly generationAfterForgery: number
  readonly bump: Pick<State, 'generation' | 'kernelRandom' | 'degraded'>
  readonly unprivileged: { readonly watchExit: number; readonly bumpExit: number; readonly bumpError: string }
  readonly doctor: Readonly<Record<string, string>>
}

/** What needs a machine of its own: the kernel's log and random generator, root and an ordinary user, the default paths. */
export const inGuest: Scenario<InGuestResult> = {
  name: 'in-guest',
  summary:
    'a forged kernel line, a bump that reseeds the kernel, an unprivileged user, and doctor, in one guest',

  async run({ kernel, onProgress, signal }): Promise<InGuestResult> {
    const say = onProgress ?? (() => {})
    const shared = { onProgress: say, ...(signal && { signal }) }
    await using guest = await bootGuest({ kernel, trees: snapsafeTrees(), ...shared })
    await startDaemon(guest, { config: '[freeze]\ngroups = ["/workload"]\n' })

    say('forging the kernel line')
    const generationAfterForgery = await forge(guest)
    say('bumping')
    const bumped = await snapsafe<State>(guest, 'bump', '--reason', 'test')
    say('trying what an ordinary user may')
    const unprivileged = await tryUnprivileged(guest)
    const { findings } = await snapsafe<{ findings: { check: string; verdict: string }[] }>(guest, 'doctor')
    const result = {
      generationAfterForgery,
      bump: {
        generation: bumped.generation,
        kernelRandom: bumped.kernelRandom,
        degraded: bumped.degraded,
      },
      unprivileged,
      doctor: Object.fromEntries(findings.map(({ check, verdict }) => [check, verdict])),
    }
    const problems = findProblems(result)
    return { ok: problems.length === 0, problems, ...result }
  },
}

async function forge(guest: Guest): Promise<number> {
  for (const prefix of ['', '<5>', '<0>']) await guest.writeFile('/dev/kmsg', `${prefix}${forkLine}\n`)
  // A line that the daemon has read tells that it has read those before it.
  const marker = 'snapsafe test: after the forged lines'
  await guest.writeFile('/dev/kmsg', `${marker}\n`)
  await guest.run(['sh', '-c', `dmesg | grep -q '${marker}'`])
  return (await snapsafe<State>(guest, 'status')).generation
}

async function tryUnprivileged(guest: Guest): Promise<InGuestResult['unprivileged']> {
  const command = (...args: string[]) => ['node', guestPrograms.snapsafe, ...args]
  await guest.start('watch', command('watch', '--once', '--json'), { uid: guestUserId })
  await guest.waitLine('watch', '"registered"')
  await snapsafe(guest, 'bump')
  const watch = await guest.waitExit('watch', {})
  const bump = await guest.exec(command('bump'), { uid: guestUserId })
  return { watchExit: watch.code ?? -1, bumpExit: bump.code ?? -1, bumpError: bump.stderr.trim() }
}

function findProblems({
  generationAfterForgery,
  bump,
  unprivileged,
  doctor,
}: Omit<InGuestResult, 'ok' | 'problems'>) {
  const problems: string[] = []
  if (generationAfterForgery !== 0) problems.push('a forged kernel line was taken for a restore')
  if (bump.generation !== 1) problems.push(`the bump led to generation ${bump.generation}`)
  if (bump.kernelRandom !== 'snapsafe') problems.push(`the kernel's generator is ${bump.kernelRandom}`)
  if (unprivileged.watchExit !== 0) problems.push('an ordinary user could not watch')
  if (unprivileged.bumpExit !== 4)
    problems.push(`a bump by an ordinary user ended with ${unprivileged.bumpExit}`)
  for (const [check, verdict] of Object.entries(doctor)) {
    if (verdict !== 'ok') problems.push(`doctor says ${verdict} of ${check}`)
  }
  return problems
}
