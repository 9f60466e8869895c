import type { Command } from 'commander'
import type { Finding } from '../doctor/check.ts'
import { checkDaemon, checkSources } from '../doctor/daemon-check.ts'
import { checkFreeze } from '../doctor/freeze-check.ts'
import {
  checkAddon,
  checkKernelLog,
  checkPage,
  checkVmgenidDevice,
  checkVmgenidDriver,
} from '../doctor/local-checks.ts'
import { exitCodes } from '../exit-codes.ts'
import { CommandFailure } from '../failure.ts'
import { type CommonOptions, sessionFor } from '../session.ts'

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check what snapsafe needs on this machine, and say what to do about what is missing')
    .action((_, command: Command) => doctor(command.optsWithGlobals()))
}

async function doctor(options: CommonOptions): Promise<void> {
  const session = sessionFor(options)
  const findings: Finding[] = [
    await checkDaemon(session),
    await checkSources(session),
    checkPage(session.runtimeDir),
    checkAddon(),
    checkKernelLog(),
    checkVmgenidDevice(),
    checkVmgenidDriver(),
    await checkFreeze(session),
  ]
  const failed = findings.filter(({ verdict }) => verdict === 'failed').map(({ check }) => check)
  session.output.result({ ok: failed.length === 0, findings }, findings.map(describe).join('\n'))
  if (failed.length === 0) return
  // A restore would go unseen here, whatever is installed: the hypervisor or the kernel is what is missing.
  const here = failed.every((check) => check.startsWith('vmgenid') || check === 'kernel-log')
  throw new CommandFailure(`failed: ${failed.join(', ')}`, here ? exitCodes.notSupported : exitCodes.failed)
}

function describe({ check, verdict, found, advice }: Finding): string {
  const line = `${verdict.padEnd(7)}  ${check.padEnd(14)}  ${found}`
  return advice === undefined ? line : `${line}\n${' '.repeat(25)}${advice}`
}
