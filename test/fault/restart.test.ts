import { describe, expect, it } from 'vitest'
import { lacking } from '../support/needs.ts'
import { killAtEveryStepOfFirstStart, killAtEveryStepOfRestart } from './kill-every-step.ts'
import { shares } from './shares.ts'
import type { Trial } from './trial.ts'

const lack = lacking('cgroup2')
const watchers = [
  { name: 'identity', tracked: true, stage: 'identity' },
  { name: 'application', tracked: true },
] as const
/** What follows when a restore is on record: its generation is put there. */
const afterRestoreIsOnRecord = 'kernel-unique'
/** What follows when the id is on the page, and the generation is not: the time. See page-layout.ts. */
const afterIdIsOnPage = `pageStoreBytes(${0x20}`

it.concurrent('a daemon that is killed at any step of its very first start is followed by one that starts', async () => {
  expect(await killAtEveryStepOfFirstStart()).toBeGreaterThanOrEqual(shares.firstStart)
})

describe
  .skipIf(lack)
  .concurrent(`a daemon that is killed at any step of its start${lack ? ` (${lack})` : ''}`, () => {
    it('after one that died while all was frozen', async () => {
      const kills = await killAtEveryStepOfRestart({ freezes: true, watchers, play: quiesce })
      expect(kills).toBeGreaterThanOrEqual(shares.restartQuiesced)
    })

    it('after one that died while all was frozen, and could put nothing on record', async () => {
      const kills = await killAtEveryStepOfRestart({
        freezes: true,
        // Nobody knows who they were, so everybody is waited for as long as this.
        grace: '100ms',
        watchers: [],
        play: quiesce,
        whenDead: (trial) => trial.loseRecord(),
      })
      expect(kills).toBeGreaterThanOrEqual(shares.restartUnknown)
    })

    it('after one that died when a restore was on record, and all was frozen', async () => {
      const kills = await killAtEveryStepOfRestart({
        freezes: true,
        watchers,
        prepare: quiesce,
        play: resumeAsCopy,
        diesAt: afterRestoreIsOnRecord,
        again: resumeAgain,
      })
      expect(kills).toBeGreaterThanOrEqual(shares.restartDeclared)
    })

    it('after one that died while it wrote the generation of a copy on the page', async () => {
      const kills = await killAtEveryStepOfRestart({
        freezes: true,
        watchers,
        prepare: quiesce,
        play: resumeAsCopy,
        diesAt: afterIdIsOnPage,
        fine: true,
        again: resumeAgain,
      })
      expect(kills).toBeGreaterThanOrEqual(shares.restartHalfWritten)
    })

    it('after one that died while watchers adjusted', async () => {
      const kills = await killAtEveryStepOfRestart({
        freezes: true,
        watchers,
        play: async (trial) => {
          const { generation } = await trial.bump()
          await trial.adjust(generation, [trial.watcher('identity')])
        },
      })
      expect(kills).toBeGreaterThanOrEqual(shares.restartAdjusting)
    })
  })

async function quiesce(trial: Trial): Promise<void> {
  await trial.quiesce({}, trial.asked)
}

async function resumeAsCopy(trial: Trial): Promise<void> {
  await trial.resume({ restoreId: trial.newRestoreId() })
}

async function resumeAgain(trial: Trial): Promise<void> {
  const { restoreId } = trial.ledger
  if (restoreId === undefined) return
  const { restored } = await trial.resume({ restoreId })
  expect(restored).toBe(true)
}
