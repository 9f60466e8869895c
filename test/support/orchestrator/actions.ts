import fc from 'fast-check'

/** Something that may happen. `key` says which process of the world it is about; what makes no sense just then is skipped. */
export type Action =
  | { do: 'restore'; minimum: number | undefined }
  | { do: 'evidence' }
  | { do: 'answer-kernel'; latest: boolean; proven: boolean }
  | {
      do: 'join'
      key: number
      tracked: boolean
      stage: 'identity' | 'network' | 'application'
      deadlineMs: number
      policy: 'report' | 'hold' | 'restart' | 'kill'
      beforeSnapshot: boolean
      /** It says that it adjusted to the current generation, whatever it did. */
      adjusted: boolean
    }
  | { do: 'leave'; key: number; lives: boolean }
  | { do: 'confirm'; key: number; fails: boolean; behind: boolean }
  /** What was to be done about the first that is to be restarted or killed. */
  | { do: 'enforce'; works: boolean }
  | { do: 'quiesce'; deadlineMs: number; thawAfterMs: number; force: boolean }
  | { do: 'prepare'; key: number | undefined; veto: boolean }
  /** The freezer comes to an end with what it was to do, and the daemon hears of it at once, or later. */
  | { do: 'freeze'; works: boolean; isHeard: boolean }
  | { do: 'answer-freezer' }
  | { do: 'resume' }
  | { do: 'release' }
  | { do: 'wait'; ms: number }
  | { do: 'save' }
  /** The daemon is killed: after so many effects of the next event where that is given. Processes whose bit is set die. */
  | { do: 'kill'; afterEffects: number | undefined; dead: number; downMs: number }

const key = fc.nat({ max: 7 })
/** Deadlines and pauses of the same few lengths, so that they often fall together. */
const ms = fc.constantFrom(1, 50, 100, 1000, 2500, 10_000)

const join = fc.record({
  do: fc.constant('join' as const),
  key,
  tracked: fc.integer({ min: 0, max: 4 }).map((one) => one > 0),
  stage: fc.constantFrom('identity', 'network', 'application'),
  deadlineMs: ms,
  policy: fc.constantFrom('report', 'report', 'hold', 'restart', 'kill'),
  beforeSnapshot: fc.boolean(),
  adjusted: fc.boolean(),
})

export const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('restore'), minimum: fc.option(fc.nat(60), { nil: undefined }) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'evidence' }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('answer-kernel'),
      latest: fc.integer({ min: 0, max: 3 }).map((one) => one > 0),
      proven: fc.boolean(),
    }),
  },
  { weight: 7, arbitrary: join },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('leave'), key, lives: fc.boolean() }) },
  {
    weight: 9,
    arbitrary: fc.record({
      do: fc.constant('confirm'),
      key,
      fails: fc.integer({ min: 0, max: 3 }).map((one) => one === 0),
      behind: fc.integer({ min: 0, max: 5 }).map((one) => one === 0),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('enforce'), works: fc.boolean() }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('quiesce'),
      deadlineMs: ms,
      thawAfterMs: ms,
      force: fc.boolean(),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('prepare'),
      key: fc.option(key, { nil: undefined, freq: 2 }),
      veto: fc.integer({ min: 0, max: 4 }).map((one) => one === 0),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('freeze'),
      works: fc.integer({ min: 0, max: 4 }).map((one) => one > 0),
      isHeard: fc.integer({ min: 0, max: 3 }).map((one) => one > 0),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ do: 'answer-freezer' }) },
  { weight: 1, arbitrary: fc.constant({ do: 'resume' }) },
  { weight: 1, arbitrary: fc.constant({ do: 'release' }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('wait'), ms }) },
  { weight: 3, arbitrary: fc.constant({ do: 'save' }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('kill'),
      afterEffects: fc.option(fc.nat(6), { nil: undefined }),
      dead: fc.nat(255),
      downMs: ms,
    }),
  },
) as fc.Arbitrary<Action>
