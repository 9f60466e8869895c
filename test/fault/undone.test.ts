import { connectToDaemon } from 'snapsafe/protocol'
import { describe, expect, it } from 'vitest'
import { lacking } from '../support/needs.ts'
import { killAtEveryStep } from './kill-every-step.ts'
import { refused } from './refused.ts'
import { shares } from './shares.ts'
import type { Trial } from './trial.ts'

const lack = lacking('cgroup2')
const freezes = true
const watchers = [
  { name: 'first', tracked: true, beforeSnapshot: true },
  { name: 'second', tracked: true, beforeSnapshot: true },
] as const

describe
  .skipIf(lack)
  .concurrent(`a daemon that is killed at any step of a quiesce${lack ? ` (${lack})` : ''}`, () => {
    it('that a watcher vetoes goes on as before', async () => {
      const kills = await killAtEveryStep({
        freezes,
        watchers,
        play: async (trial) => {
          const quiesced = trial.askForQuiesce()
          await prepare(trial, 'second')
          await prepare(trial, 'first', 'a backup is running')
          await refused(quiesced, 'Vetoed')
          await trial.watcher('second').until('resumed')
        },
      })
      expect(kills).toBeGreaterThanOrEqual(shares.veto)
    })

    it('whose caller goes away goes on as before', async () => {
      const kills = await killAtEveryStep({
        freezes,
        watchers,
        play: async (trial) => {
          trial.ledger.quiesceSent = true
          const caller = await connectToDaemon(trial.socket, {})
          try {
            caller.call('Quiesce', {}).catch(() => undefined)
            await prepare(trial, 'second')
            await trial.watcher('first').until('quiesce')
          } finally {
            await caller.close()
          }
          await trial.watcher('first').until('resumed')
        },
      })
      expect(kills).toBeGreaterThanOrEqual(shares.callerLeft)
    })

    it('that a restore comes in begins a generation, and freezes nobody', async () => {
      const kills = await killAtEveryStep({
        freezes,
        watchers,
        play: async (trial) => {
          const quiesced = trial.askForQuiesce()
          await prepare(trial, 'second')
          const { generation } = await trial.bump()
          await refused(quiesced, 'QuiesceFailed')
          await trial.adjust(generation)
          await trial.ready()
        },
      })
      expect(kills).toBeGreaterThanOrEqual(shares.bumpWhileAsked)
    })

    it('and of its own end leaves nobody frozen', async () => {
      const kills = await killAtEveryStep({
        freezes,
        watchers,
        prepare: async (trial) => {
          await trial.quiesce({}, trial.asked)
        },
        play: async (trial) => {
          trial.daemon.kill('SIGTERM')
          const { code, signal } = await trial.daemon.ended()
          if (signal === 'SIGKILL') throw new Error('it was killed')
          expect(code).toBe(0)
          await trial.start()
        },
      })
      expect(kills).toBeGreaterThanOrEqual(shares.stopped)
    })
  })

async function prepare(trial: Trial, name: string, veto?: string): Promise<void> {
  const watcher = trial.watcher(name)
  const { state } = await watcher.until('quiesce')
  await watcher.prepare(trial.socket, state.quiesce?.quiesce ?? 0, veto)
}
