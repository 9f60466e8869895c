import { describe, expect, it } from 'vitest'
import { Debtor } from './debtor.ts'
import { killAtEveryStep } from './kill-every-step.ts'
import { shares, wantedKills } from './shares.ts'
import type { Trial } from './trial.ts'

const watchers = [
  { name: 'identity', tracked: true, stage: 'identity' },
  { name: 'application', tracked: true },
  { name: 'onlooker' },
] as const
const freezes = false

it('the scripts kill as often as was asked for', () => {
  const sum = Object.values(shares).reduce((total, share) => total + share, 0)
  expect(sum).toBeGreaterThanOrEqual(wantedKills)
})

describe.concurrent('a daemon that is killed at any step of', () => {
  it('a restore says ready for nobody who has not adjusted', async () => {
    const kills = await killAtEveryStep({
      freezes,
      watchers,
      fine: true,
      play: async (trial) => {
        const { generation } = await trial.bump()
        const ready = trial.ready()
        ready.catch(() => undefined)
        await trial.adjust(generation)
        await ready
      },
    })
    expect(kills).toBeGreaterThanOrEqual(shares.bump)
  })

  it('a restore while watchers adjust to another counts both, and takes no confirmation of the first', async () => {
    const kills = await killAtEveryStep({
      freezes,
      watchers,
      play: async (trial) => {
        const first = await trial.bump()
        await trial.adjust(first.generation, [trial.watcher('identity')])
        const both = await Promise.all([trial.bump(), trial.bump()])
        const { generation } = both[1]
        expect(generation).toBe(first.generation + 2)
        await trial.adjust(generation)
        await trial.ready()
      },
    })
    expect(kills).toBeGreaterThanOrEqual(shares.bumpAgain)
  })

  it('a restore that a watcher cannot adjust to names it, and waits for the others', async () => {
    const kills = await killAtEveryStep({
      freezes,
      watchers,
      play: async (trial) => {
        const { generation } = await trial.bump()
        await trial.watcher('identity').untilTold(generation)
        await trial.watcher('identity').adjust(generation, 'no key could be had')
        await trial.adjust(generation, [trial.watcher('application')])
        const { missed } = await trial.ready()
        expect(missed).toMatchObject([{ name: 'identity', owing: 'failed', failure: 'no key could be had' }])
      },
    })
    expect(kills).toBeGreaterThanOrEqual(shares.failure)
  })

  it('a restore with a deadline that passes keeps the debt of who missed it', async () => {
    const kills = await killAtEveryStep({
      freezes,
      watchers: [...watchers, { name: 'late', tracked: true, deadlineMs: 20 }],
      prepare: async (trial) => {
        trial.watcher('late').mayBeLate = true
      },
      play: async (trial) => {
        const { generation } = await trial.bump()
        await trial.adjust(generation, [trial.watcher('identity'), trial.watcher('application')])
        const { missed } = await trial.ready()
        expect(missed).toMatchObject([{ name: 'late', owing: 'deadline' }])
      },
    })
    expect(kills).toBeGreaterThanOrEqual(shares.deadline)
  })

  it('watchers that come, go and come back forgets none of them', async () => {
    const kills = await killAtEveryStep({
      freezes,
      watchers,
      play: async (trial) => {
        const guest = await invite(trial)
        const { generation } = await trial.bump()
        // The library's watchers come back by themselves when their connection is lost.
        await guest.drop()
        await trial.adjust(generation, [trial.watcher('identity')])
        const { outdated } = await guest.join(trial.socket)
        if (!outdated) await guest.untilTold(generation)
        await guest.adjust(generation)
        await trial.adjust(generation, [trial.watcher('application')])
        await trial.ready()
        await guest.leave(trial.socket)
      },
      again: async (trial) => {
        // Whoever wanted to leave, and does not know whether it has, does so again.
        const guest = trial.watchers.find(({ name }) => name === 'guest')
        if (!guest || guest.isIn) return
        await guest.join(trial.socket)
        await guest.leave(trial.socket)
      },
    })
    expect(kills).toBeGreaterThanOrEqual(shares.comeAndGo)
  })
})

/** One more watcher, which is there for a while. */
async function invite(trial: Trial): Promise<Debtor> {
  const { generation } = await trial.fence()
  const guest =
    trial.watchers.find(({ name }) => name === 'guest') ?? new Debtor({ name: 'guest', tracked: true }, 0)
  if (!trial.watchers.includes(guest)) trial.watchers.push(guest)
  guest.adjustedTo = generation
  await guest.join(trial.socket)
  return guest
}
