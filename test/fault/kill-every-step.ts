import type { KillPlan } from './kill-plan.ts'
import { Trial, type TrialOptions } from './trial.ts'

/** No script has so many steps; a count that goes on for ever is a mistake of the test. */
const maxSteps = 400

/** What is played with a daemon that dies on the way. */
export interface Script extends TrialOptions {
  /** What comes before the steps that count. */
  readonly prepare?: (trial: Trial) => Promise<void>
  /** Plays it, up to the moment at which all is over. Throws whatever a client throws whose daemon died. */
  readonly play: (trial: Trial) => Promise<void>
  /** Whether each store to the page is a step, and not only the first and the last of an update. */
  readonly fine?: boolean
  /** What a client does again when another daemon answers, because it had no reply. */
  readonly again?: (trial: Trial) => Promise<void>
}

/** What is played before a daemon dies, and the next is killed at each step of its start. */
export interface RestartScript extends Script {
  /** The first daemon dies before the first step of `play` that has this in its description; not given: when it was played. */
  readonly diesAt?: string
  /** What happens to what it left. */
  readonly whenDead?: (trial: Trial) => void
}

/**
 * Kills a daemon before each step of a script, and once more after each reply, when a client knows what it says. The daemon
 * that comes next is checked, and is the next to be killed. Resolves with how often that was, when the script runs through.
 */
export async function killAtEveryStep(script: Script): Promise<number> {
  await using trial = await Trial.begin(script)
  const steps = script.fine ? 'all' : 'coarse'
  const before = await killAll(trial, script, { armedBy: 'call', when: 'before', steps })
  const after = await killAll(trial, script, { armedBy: 'call', when: 'after', steps: 'replies' })
  return before + after
}

/** Kills a daemon before each step of its start on what another left; the one after that is checked. */
export async function killAtEveryStepOfRestart(script: RestartScript): Promise<number> {
  const { diesAt, again, fine } = script
  const plan: KillPlan | undefined =
    diesAt === undefined
      ? undefined
      : { armedBy: 'call', at: 1, when: 'before', steps: 'all', having: diesAt }
  await using trial = await Trial.begin(script)
  await trial.kill()
  await trial.start(plan)
  return await untilItLives(trial, async (at) => {
    await trial.recover(again)
    const died = await isKilledIn(trial, script)
    if (died !== (plan !== undefined)) throw new Error(died ? 'it died too early' : 'it did not die')
    if (!died) await trial.kill()
    script.whenDead?.(trial)
    const lives = await trial.start({
      armedBy: 'start',
      at,
      when: 'before',
      steps: fine ? 'all' : 'coarse',
    })
    // What it does from now on is no part of its start.
    if (lives) await trial.kill()
    await trial.start(plan)
    if (lives) await trial.recover(again)
    return lives
  })
}

/** Kills the first daemon of all before each step of its start, each time in a directory of its own. */
export async function killAtEveryStepOfFirstStart(): Promise<number> {
  for (let at = 1; at < maxSteps; at++) {
    const first: KillPlan = { armedBy: 'start', at, when: 'before', steps: 'all' }
    await using trial = await Trial.begin({ freezes: false, watchers: [], first })
    try {
      await trial.recover()
    } catch (error) {
      throw explained(trial, at, error as Error)
    }
    if (trial.firstLived) return at - 1
  }
  throw new Error(`there are more than ${maxSteps} steps`)
}

async function killAll(trial: Trial, script: Script, plan: Omit<KillPlan, 'at'>): Promise<number> {
  await trial.kill()
  return await untilItLives(trial, async (at) => {
    await trial.start({ ...plan, at })
    await trial.recover(script.again)
    if (await isKilledIn(trial, script)) return false
    await trial.kill()
    await trial.start()
    await trial.recover(script.again)
    return true
  })
}

/** How many of the steps 1, 2, 3 … there are: `play` says whether the daemon lived. */
async function untilItLives(trial: Trial, play: (at: number) => Promise<boolean>): Promise<number> {
  for (let at = 1; at < maxSteps; at++) {
    try {
      if (await play(at)) return at - 1
    } catch (error) {
      throw explained(trial, at, error as Error)
    }
  }
  throw new Error(`there are more than ${maxSteps} steps`)
}

async function isKilledIn(trial: Trial, { prepare, play }: Script): Promise<boolean> {
  await prepare?.(trial)
  try {
    await trial.arm()
    await play(trial)
    await trial.fence()
    return false
  } catch (error) {
    // A client that is told something false is no client whose daemon has died.
    if ((error as Error).name !== 'AssertionError' && (await trial.isKilled())) return true
    throw error
  }
}

function explained(trial: Trial, at: number, error: Error): Error {
  return new Error(trial.explain(`at step ${at}: ${error.message}`), { cause: error })
}
