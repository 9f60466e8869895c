import { beforeAll, describe, expect, it } from 'vitest'
import { lacking } from '../../support/needs.ts'
import { type SystemdUnitResult, systemdUnit } from '../scenarios/systemd-unit.ts'

const lack = lacking('vm')

describe.skipIf(lack)(`the unit of the daemon, under systemd${lack ? ` (${lack})` : ''}`, () => {
  let result: SystemdUnitResult

  beforeAll(async () => {
    result = await systemdUnit.run({ clones: 2, kernel: '6.12' })
  })

  it('is ready before basic.target, and says its generation to systemd', () => {
    expect(result.boot).toMatchObject({ ActiveState: 'active', SubState: 'running', NRestarts: '0' })
    expect(result.boot.StatusText).toContain('generation 0')
    expect(result.readyBeforeBasic).toBe(true)
    expect(result.failedUnits).toEqual([])
  })

  it('is confined to what the daemon needs', () => {
    expect(result.confinement).toEqual({
      capabilities: ['CAP_DAC_OVERRIDE', 'CAP_KILL', 'CAP_SYSLOG', 'CAP_SYS_ADMIN', 'CAP_SYS_PTRACE'],
      noNewPrivileges: true,
      writable: ['/run/snapsafe/test', '/var/lib/snapsafe/test', '/sys/fs/cgroup/init.scope/cgroup.freeze'],
      controlGroup: '/snapsafe.slice/snapsafed.service',
    })
  })

  it('lets the daemon reseed the kernel', () => {
    expect(result.bump).toMatchObject({ generation: 1, kernelRandom: 'snapsafe', degraded: false })
    expect(result.bump.statusText).toContain('generation 1')
  })

  it('brings a daemon that was killed back while all other units were frozen, on the same page and in the same generation', () => {
    expect(result.afterKill).toMatchObject({
      SubState: 'running',
      NRestarts: '1',
      generation: 1,
      samePage: true,
    })
    expect(result.afterKill.StatusText).toContain('generation 1')
  })

  it('keeps the connections of watchers while the daemon is killed, and restarted', () => {
    expect(result.toldOnKeptConnection).toEqual({ afterKill: true, afterRestart: true })
  })

  it('restarts the unit of a watcher that never adjusts, where that is configured', () => {
    expect(result.stubborn).toMatchObject({ hasNewProcess: true, degraded: false })
    expect(result.stubborn.answers).toContain('stubborn restarted')
  })

  it('goes on in clones, which are ready in the next generation', () => {
    const { generation, NRestarts } = result.beforeSnapshot
    const told = { cause: 'clone', kernelRandom: 'kernel', degraded: false, NRestarts }
    expect(result.clones).toMatchObject([told, told].map((each) => ({ ...each, generation: generation + 1 })))
  })

  it('leaves nothing for doctor, or the scenario, to complain of', () => {
    expect(Object.values(result.doctor).every((verdict) => verdict === 'ok')).toBe(true)
    expect(result.problems).toEqual([])
  })
})
