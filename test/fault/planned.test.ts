import { describe, expect, it } from 'vitest'
import { lacking } from '../support/needs.ts'
import { killAtEveryStep } from './kill-every-step.ts'
import { shares } from './shares.ts'
import type { Trial } from './trial.ts'

const lack = lacking('cgroup2')
const freezes = true
const watchers = [
  { name: 'identity', tracked: true, stage: 'identity', beforeSnapshot: true },
  { name: 'application', tracked: true, beforeSnapshot: true },
  { name: 'onlooker', tracked: true },
] as const

describe
  .skipIf(lack)
  .concurrent(`a daemon that is killed at any step of a planned snapshot${lack ? ` (${lack})` : ''}`, () => {
    it('of which there is no copy leaves nobody frozen', async () => {
      const kills = await killAtEveryStep({
        freezes,
        watchers,
        play: async (trial) => {
          await trial.quiesce({}, trial.asked)
          const { restored } = await trial.resume({})
          expect(restored).toBe(false)
          await trial.watcher('application').until('resumed')
        },
      })
      expect(kills).toBeGreaterThanOrEqual(shares.original)
    })

    it('thaws a copy in a generation of its own, and takes a restore that is named twice for one', async () => {
      const kills = await killAtEveryStep({
        freezes,
        watchers,
        fine: true,
        play: async (trial) => {
          await trial.quiesce({}, trial.asked)
          const { restored, state } = await trial.resume({ restoreId: trial.newRestoreId() })
          expect(restored).toBe(true)
          await trial.adjust(state.generation)
          await trial.ready()
        },
        again: resumeAgain,
      })
      expect(kills).toBeGreaterThanOrEqual(shares.copy)
    })

    it('that somebody declares a restore in thaws a copy', async () => {
      const kills = await killAtEveryStep({
        freezes,
        watchers,
        play: async (trial) => {
          await trial.quiesce({}, trial.asked)
          const { generation } = await trial.bump()
          await trial.adjust(generation)
          await trial.ready()
        },
      })
      expect(kills).toBeGreaterThanOrEqual(shares.bumpWhileQuiesced)
    })

    it('that nobody ends thaws what may be a copy', async () => {
      const kills = await killAtEveryStep({
        freezes,
        watchers,
        play: async (trial) => {
          const { generation } = await trial.quiesce({ thawAfterMs: 30 }, trial.asked)
          await trial.adjust(generation + 1)
          await trial.ready()
        },
      })
      expect(kills).toBeGreaterThanOrEqual(shares.thawDeadline)
    })
  })

async function resumeAgain(trial: Trial): Promise<void> {
  const { restoreId } = trial.ledger
  if (restoreId === undefined) return
  const { restored } = await trial.resume({ restoreId })
  expect(restored).toBe(true)
}
