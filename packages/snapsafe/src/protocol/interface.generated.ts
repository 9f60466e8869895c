// Generated from idl/io.snapsafe.Generation.varlink by tools/generate-interface.ts; edit the former and run the latter.

export const interfaceName = 'io.snapsafe.Generation'

/** The interface text, as GetInterfaceDescription answers it. */
export const interfaceText = `# Tells every process of a Linux system that the system was restored from a snapshot, cloned, or rolled back,
# and finds out who has adjusted to it.
#
# The socket is /run/snapsafe/io.snapsafe.Generation. Anybody may call the methods that watch, wait and ask, each for itself;
# Bump, Quiesce and Resume are for root and the group snapsafe. Callers are known by SO_PEERCRED.
# Replies on a connection come in the order of the calls, so a process that watches confirms on a second connection.
# Times are microseconds of CLOCK_BOOTTIME.
interface io.snapsafe.Generation

# What the system is doing. running: everybody has adjusted, or missed the deadline; the guest is ready.
# quiescing: a snapshot is planned and watchers prepare for it. quiesced: the workload is frozen; take the snapshot now.
# adjusting: the generation has moved and watchers are at work.
type Phase (running, quiescing, quiesced, adjusting)

# Why the generation moved last. boot: it has not. clone: the hypervisor gave the machine a new identity.
# ambiguous: there are signs of a restore, but they do not tell a rollback from a live migration.
# command: somebody asked for it. host: the host said so when it resumed the guest.
type Cause (boot, clone, ambiguous, command, host)

# Watchers are told of a generation by stage: those of \`network\` when all of \`identity\` have adjusted, or missed their
# deadline, and so on. A watcher that names none is of stage application.
type Stage (identity, network, application)

# What made the kernel's random generator unique to this copy before anybody was told.
# boot: nothing had to. kernel: the kernel did, by itself. snapsafe: bytes of a hardware or CPU generator were mixed in
# and a reseed was forced. unproven: a reseed was forced, but nothing unique to this copy could be mixed in.
# failed: the reseed failed. off: not this daemon's business (see kernel_random in its configuration).
type KernelRandom (boot, kernel, snapsafe, unproven, failed, off)

# Whether a source can see a restore. working: it looks. unavailable: it cannot work on this machine. failed: it has stopped.
type SourceStatus (working, unavailable, failed)

# A source of evidence that the configuration does not switch off, and why it does not work where it does not.
type Source (source: string, status: SourceStatus, detail: ?string)

# One sign of a restore: which source saw it, what it saw, in words, and when. Never the hypervisor's id.
type Evidence (source: string, detail: string, atUsec: int)

# Why a tracked watcher counts as not adjusted. pending: its deadline has not passed, or its stage has not begun.
# deadline: it has. failed: the watcher itself said so.
type Owing (no, pending, deadline, failed)

# One watcher. Who is not root or of the group snapsafe sees the watchers of its own user only.
# beforeSnapshot: it is asked before a planned snapshot. sinceUsec: since when it is outdated. dueAtUsec: until when it is
# waited for; absent while its stage has not begun. absent: its connection is gone, and it is given a moment to come back.
type Watcher (
  watcher: string,
  name: string,
  pid: int,
  uid: int,
  tracked: bool,
  deadlineMs: int,
  adjustedTo: int,
  owing: Owing,
  failure: ?string,
  stage: Stage,
  beforeSnapshot: bool,
  sinceUsec: ?int,
  dueAtUsec: ?int,
  absent: bool
)

# A group of processes that the freeze leaves running, and why.
type Running (group: string, why: string)

# A snapshot that is planned. quiesce: its number, for ConfirmQuiesce. deadlineUsec: when it is given up if watchers are not
# prepared. thawAtUsec: when the workload is thawed if nobody says how it went on; absent until it is frozen.
# prepared, of: watchers that have prepared, of those that are asked. asking: who is asked now, if the caller may see it.
# frozen: the cgroups that are frozen, each with all below it. running: what was configured to be frozen and is not.
type PlannedSnapshot (
  quiesce: int,
  reason: ?string,
  deadlineUsec: int,
  thawAtUsec: ?int,
  prepared: int,
  of: int,
  asking: ?string,
  frozen: []string,
  running: []Running
)

# generation: 0 at boot, grows by at least 1 with every restore; u32, compare by inequality.
# generationId: 32 hexadecimal digits, drawn after the kernel's generator was made unique; differs between clones; public.
# changedAtUsec: when the page changed. readyAtUsec: when the guest was ready again; absent until then.
# evidence: all signs of the last restore that came so far.
# degraded: the guest is ready, but tracked watchers have not adjusted, or the kernel's generator is unproven or failed.
# missed: those watchers, as far as the caller may see them.
# stage: which watchers are at work; only while adjusting. quiesce: only while quiescing and quiesced.
type State (
  generation: int,
  generationId: string,
  phase: Phase,
  cause: Cause,
  reason: ?string,
  evidence: []Evidence,
  kernelRandom: KernelRandom,
  changedAtUsec: int,
  readyAtUsec: ?int,
  trackedWatchers: int,
  outdatedWatchers: int,
  degraded: bool,
  missed: []Watcher,
  stage: ?Stage,
  quiesce: ?PlannedSnapshot
)

# How far the watchers are. confirmed: tracked watchers that have adjusted to this generation, of all. slowest: those that
# are waited for, the longest first, at most five, as far as the caller may see them.
type Progress (confirmed: int, of: int, slowest: []Watcher)

# registered: the first reply. generation: adjust to it. ready: the phase is running again. For watchers that asked to be
# asked before snapshots as well: quiesce: prepare, and call ConfirmQuiesce with state.quiesce.quiesce. resumed: there was
# no restore, go on as before; it comes also to those who were not asked yet.
type WatchEvent (registered, generation, ready, quiesce, resumed)

# How a watcher is told of a generation: by an event on its connection, by a signal to its process, or by both.
type Notify (event, signal, both)

type Signal (SIGHUP, SIGUSR1, SIGUSR2)

type MemoryEvent (registered, wiped)

# How an entry of the log ended. open: it has not. ready: everybody has adjusted. degraded: somebody has not, or the
# kernel's generator may repeat itself. superseded: another restore came before that. resumed: a planned snapshot without
# a restore. vetoed, failed: a planned snapshot that was given up.
type LogOutcome (open, ready, degraded, superseded, resumed, vetoed, failed)

# What a watcher answered. prepared, vetoed: before a snapshot. confirmed, failed: to a generation. late: its deadline passed,
# and nothing more. held, restarted, killed: its deadline passed, and what was done then. left: it went.
type AnswerKind (prepared, vetoed, confirmed, failed, late, held, restarted, killed, left)

type Answer (name: string, pid: int, uid: int, stage: Stage, answer: AnswerKind, detail: ?string, atUsec: int)

# A step of a restore: quiesce-requested, watchers-prepared, memory-wiped, frozen, restore-declared, kernel-unique,
# page-changed, thawed, told-identity, told-network, told-application, ready; or quiesce-ended.
type LogStep (step: string, atUsec: int)

# One restore, or one planned snapshot, with the time of every step. generation and what follows is of its end.
# answers: as far as the caller may see them; answersLeftOut: how many there were that were not kept.
type LogEntry (
  entry: int,
  outcome: LogOutcome,
  detail: ?string,
  generation: int,
  generationId: string,
  cause: Cause,
  reason: ?string,
  kernelRandom: KernelRandom,
  evidence: []Evidence,
  steps: []LogStep,
  answers: []Answer,
  answersLeftOut: int
)

type WaitFor (ready, generation)

# The state of this moment.
method GetState() -> (state: State)

# [Requires 'more' flag]
# Become a watcher, for as long as the connection stays open. Call with \`more\`. The first reply is \`registered\` and comes
# at once; then an event for each new generation when the watcher's stage has come, and one when the guest is ready.
# A tracked watcher owes a Confirm for each generation within deadlineMs milliseconds (absent: the daemon's default), counted
# from when it is told, and holds up \`ready\` until then. adjustedTo is the generation that it last adjusted to (absent: the
# current one); where that is not the current generation, the watcher is outdated from the start.
# beforeSnapshot: be asked before planned snapshots, one watcher after another, the one that was registered last first.
# registeredAtUsec: when that was; for one that comes back, so that it keeps its place (absent: now).
# notify (absent: event) and signal (absent: SIGUSR2): how to be told of a generation.
method Watch(
  name: string,
  tracked: ?bool,
  deadlineMs: ?int,
  adjustedTo: ?int,
  stage: ?Stage,
  beforeSnapshot: ?bool,
  registeredAtUsec: ?int,
  notify: ?Notify,
  signal: ?Signal
) -> (
  watcher: string,
  event: WatchEvent,
  outdated: bool,
  state: State
)

# Say that a watcher has adjusted to this very generation; only the process that owns the watcher can. With \`failure\`, say
# that it could not: it stays outdated and is named, and nobody waits for its deadline. Confirming twice is no error.
method Confirm(watcher: string, generation: int, failure: ?string) -> ()

# Say that a watcher has prepared for the planned snapshot of this number or, with \`veto\`, why there must be none: then the
# quiesce is undone. Only the process that owns the watcher can.
method ConfirmQuiesce(watcher: string, quiesce: int, veto: ?string) -> ()

# Stop watching; the connection of the watch may be closed then. Who closes it without this, while it owes a confirmation
# and its process lives, is waited for a moment longer, because it may come back.
method Leave(watcher: string) -> ()

# [Supports 'more' flag]
# Wait until the guest is ready, or until the generation differs from \`from\` (absent: from the current one).
# With \`more\`, changes on the way are replies, at most ten a second; the last one is what was waited for. timeoutMs: at most a day; absent: an hour.
method Wait(for: WaitFor, from: ?int, timeoutMs: ?int) -> (state: State, progress: Progress)

# The watchers of the caller's user; all of them for root and the group snapsafe.
method ListWatchers() -> (watchers: []Watcher)

# What can see a restore here. Where nothing works, a new generation comes by Bump alone.
method ListSources() -> (sources: []Source)

# What a planned snapshot would freeze, or why it cannot: \`detail\` says it in words.
method GetFreeze() -> (possible: bool, detail: string)

# [Supports 'more' flag]
# The last restores and planned snapshots, the oldest first; \`last\`: so many of them. With \`more\`, the connection stays and
# every entry that is new, or has changed, comes when it has; an entry replaces one of the same number.
method GetLog(last: ?int) -> (entries: []LogEntry)

# [Requires 'more' flag]
# Protect memory of the caller for as long as the connection stays open: the first \`length\` bytes of the file behind its
# descriptor \`fd\`, a memfd that it can write, are overwritten with zeros before a planned snapshot is taken, and first thing
# after every restore. The first reply is \`registered\`, then \`wiped\` for each time.
method ProtectMemory(fd: int, length: int) -> (event: MemoryEvent, generation: int)

# Prepare for a snapshot that is planned: watchers that asked for it prepare, one after another; protected memory is wiped;
# the workload is frozen. The reply comes when the phase is quiesced: take the snapshot then. Where anything stands in the
# way, all is undone, and the error says what. Closing the connection before the reply undoes it as well.
# deadlineMs: for the watchers. thawAfterMs: how long the workload stays frozen at most; when that has passed, it is taken for
# a clone, because nobody can know, and thawed in a new generation. force: go on although watchers veto or do not answer.
# Absent: what the daemon's configuration says.
method Quiesce(reason: ?string, deadlineMs: ?int, thawAfterMs: ?int, force: ?bool) -> (state: State)

# Go on after a planned snapshot. restored: whether this is a copy; absent: every source is asked, and without a sign of a
# restore it is not. restoreId: names this restore, is different for each, and means that this is a copy; naming one twice
# is one restore. seed: up to 512 bytes, in hexadecimal digits, that no other copy gets; they are mixed into the kernel's random generator.
# A copy gets a new generation before anything is thawed. The reply comes when the workload runs again; use Wait for
# \`ready\`. Where nothing was quiesced and this is no copy, nothing happens.
method Resume(restored: ?bool, restoreId: ?string, seed: ?string) -> (restored: bool, state: State)

# Declare that this system was restored: a new generation, of at least \`minimum\` where that is given.
# The reply comes when the page has changed; use Wait for \`ready\`.
method Bump(reason: ?string, minimum: ?int) -> (state: State)

# The caller is not allowed to do this; \`required\` says who is.
error PermissionDenied (required: string)

# There is no such watcher: its connection was closed, or it never was.
error NoSuchWatcher ()

# The watcher belongs to another process.
error NotOwner ()

# The confirmed generation is not the current one; adjust to the current one and confirm that.
error StaleGeneration (current: int)

# The planned snapshot is over, or it is another one.
error StaleQuiesce ()

# This cannot be done in this phase.
error WrongPhase (phase: Phase)

# A watcher does not want the snapshot; everything goes on as before.
error Vetoed (name: string, pid: int, reason: string)

# The system could not be quiesced; everything goes on as before.
error QuiesceFailed (reason: string)

# The descriptor is nothing that can be protected.
error NotProtectable (reason: string)

# A limit of the daemon was reached.
error LimitReached (limit: string, maximum: int)

# What was waited for did not happen in time.
error TimedOut (state: State)

# What arrived is not Varlink; the connection is closed.
error ProtocolError (reason: string)

# The daemon failed in a way that it did not expect; its log says how.
error Internal ()
`

/**
 * What the system is doing. running: everybody has adjusted, or missed the deadline; the guest is ready.
 * quiescing: a snapshot is planned and watchers prepare for it. quiesced: the workload is frozen; take the snapshot now.
 * adjusting: the generation has moved and watchers are at work.
 */
export type Phase = 'running' | 'quiescing' | 'quiesced' | 'adjusting'

/**
 * Why the generation moved last. boot: it has not. clone: the hypervisor gave the machine a new identity.
 * ambiguous: there are signs of a restore, but they do not tell a rollback from a live migration.
 * command: somebody asked for it. host: the host said so when it resumed the guest.
 */
export type Cause = 'boot' | 'clone' | 'ambiguous' | 'command' | 'host'

/**
 * Watchers are told of a generation by stage: those of `network` when all of `identity` have adjusted, or missed their
 * deadline, and so on. A watcher that names none is of stage application.
 */
export type Stage = 'identity' | 'network' | 'application'

/**
 * What made the kernel's random generator unique to this copy before anybody was told.
 * boot: nothing had to. kernel: the kernel did, by itself. snapsafe: bytes of a hardware or CPU generator were mixed in
 * and a reseed was forced. unproven: a reseed was forced, but nothing unique to this copy could be mixed in.
 * failed: the reseed failed. off: not this daemon's business (see kernel_random in its configuration).
 */
export type KernelRandom = 'boot' | 'kernel' | 'snapsafe' | 'unproven' | 'failed' | 'off'

/** Whether a source can see a restore. working: it looks. unavailable: it cannot work on this machine. failed: it has stopped. */
export type SourceStatus = 'working' | 'unavailable' | 'failed'

/** A source of evidence that the configuration does not switch off, and why it does not work where it does not. */
export type Source = {
  source: string
  status: SourceStatus
  detail?: string | null | undefined
}

/** One sign of a restore: which source saw it, what it saw, in words, and when. Never the hypervisor's id. */
export type Evidence = {
  source: string
  detail: string
  atUsec: number
}

/**
 * Why a tracked watcher counts as not adjusted. pending: its deadline has not passed, or its stage has not begun.
 * deadline: it has. failed: the watcher itself said so.
 */
export type Owing = 'no' | 'pending' | 'deadline' | 'failed'

/**
 * One watcher. Who is not root or of the group snapsafe sees the watchers of its own user only.
 * beforeSnapshot: it is asked before a planned snapshot. sinceUsec: since when it is outdated. dueAtUsec: until when it is
 * waited for; absent while its stage has not begun. absent: its connection is gone, and it is given a moment to come back.
 */
export type Watcher = {
  watcher: string
  name: string
  pid: number
  uid: number
  tracked: boolean
  deadlineMs: number
  adjustedTo: number
  owing: Owing
  failure?: string | null | undefined
  stage: Stage
  beforeSnapshot: boolean
  sinceUsec?: number | null | undefined
  dueAtUsec?: number | null | undefined
  absent: boolean
}

/** A group of processes that the freeze leaves running, and why. */
export type Running = {
  group: string
  why: string
}

/**
 * A snapshot that is planned. quiesce: its number, for ConfirmQuiesce. deadlineUsec: when it is given up if watchers are not
 * prepared. thawAtUsec: when the workload is thawed if nobody says how it went on; absent until it is frozen.
 * prepared, of: watchers that have prepared, of those that are asked. asking: who is asked now, if the caller may see it.
 * frozen: the cgroups that are frozen, each with all below it. running: what was configured to be frozen and is not.
 */
export type PlannedSnapshot = {
  quiesce: number
  reason?: string | null | undefined
  deadlineUsec: number
  thawAtUsec?: number | null | undefined
  prepared: number
  of: number
  asking?: string | null | undefined
  frozen: readonly string[]
  running: readonly Running[]
}

/**
 * generation: 0 at boot, grows by at least 1 with every restore; u32, compare by inequality.
 * generationId: 32 hexadecimal digits, drawn after the kernel's generator was made unique; differs between clones; public.
 * changedAtUsec: when the page changed. readyAtUsec: when the guest was ready again; absent until then.
 * evidence: all signs of the last restore that came so far.
 * degraded: the guest is ready, but tracked watchers have not adjusted, or the kernel's generator is unproven or failed.
 * missed: those watchers, as far as the caller may see them.
 * stage: which watchers are at work; only while adjusting. quiesce: only while quiescing and quiesced.
 */
export type State = {
  generation: number
  generationId: string
  phase: Phase
  cause: Cause
  reason?: string | null | undefined
  evidence: readonly Evidence[]
  kernelRandom: KernelRandom
  changedAtUsec: number
  readyAtUsec?: number | null | undefined
  trackedWatchers: number
  outdatedWatchers: number
  degraded: boolean
  missed: readonly Watcher[]
  stage?: Stage | null | undefined
  quiesce?: PlannedSnapshot | null | undefined
}

/**
 * How far the watchers are. confirmed: tracked watchers that have adjusted to this generation, of all. slowest: those that
 * are waited for, the longest first, at most five, as far as the caller may see them.
 */
export type Progress = {
  confirmed: number
  of: number
  slowest: readonly Watcher[]
}

/**
 * registered: the first reply. generation: adjust to it. ready: the phase is running again. For watchers that asked to be
 * asked before snapshots as well: quiesce: prepare, and call ConfirmQuiesce with state.quiesce.quiesce. resumed: there was
 * no restore, go on as before; it comes also to those who were not asked yet.
 */
export type WatchEvent = 'registered' | 'generation' | 'ready' | 'quiesce' | 'resumed'

/** How a watcher is told of a generation: by an event on its connection, by a signal to its process, or by both. */
export type Notify = 'event' | 'signal' | 'both'

export type Signal = 'SIGHUP' | 'SIGUSR1' | 'SIGUSR2'

export type MemoryEvent = 'registered' | 'wiped'

/**
 * How an entry of the log ended. open: it has not. ready: everybody has adjusted. degraded: somebody has not, or the
 * kernel's generator may repeat itself. superseded: another restore came before that. resumed: a planned snapshot without
 * a restore. vetoed, failed: a planned snapshot that was given up.
 */
export type LogOutcome = 'open' | 'ready' | 'degraded' | 'superseded' | 'resumed' | 'vetoed' | 'failed'

/**
 * What a watcher answered. prepared, vetoed: before a snapshot. confirmed, failed: to a generation. late: its deadline passed,
 * and nothing more. held, restarted, killed: its deadline passed, and what was done then. left: it went.
 */
export type AnswerKind =
  | 'prepared'
  | 'vetoed'
  | 'confirmed'
  | 'failed'
  | 'late'
  | 'held'
  | 'restarted'
  | 'killed'
  | 'left'

export type Answer = {
  name: string
  pid: number
  uid: number
  stage: Stage
  answer: AnswerKind
  detail?: string | null | undefined
  atUsec: number
}

/**
 * A step of a restore: quiesce-requested, watchers-prepared, memory-wiped, frozen, restore-declared, kernel-unique,
 * page-changed, thawed, told-identity, told-network, told-application, ready; or quiesce-ended.
 */
export type LogStep = {
  step: string
  atUsec: number
}

/**
 * One restore, or one planned snapshot, with the time of every step. generation and what follows is of its end.
 * answers: as far as the caller may see them; answersLeftOut: how many there were that were not kept.
 */
export type LogEntry = {
  entry: number
  outcome: LogOutcome
  detail?: string | null | undefined
  generation: number
  generationId: string
  cause: Cause
  reason?: string | null | undefined
  kernelRandom: KernelRandom
  evidence: readonly Evidence[]
  steps: readonly LogStep[]
  answers: readonly Answer[]
  answersLeftOut: number
}

export type WaitFor = 'ready' | 'generation'

/** The state of this moment. */
export type GetStateParameters = { [key: string]: never }

export type GetStateReply = {
  state: State
}

/**
 * [Requires 'more' flag]
 * Become a watcher, for as long as the connection stays open. Call with `more`. The first reply is `registered` and comes
 * at once; then an event for each new generation when the watcher's stage has come, and one when the guest is ready.
 * A tracked watcher owes a Confirm for each generation within deadlineMs milliseconds (absent: the daemon's default), counted
 * from when it is told, and holds up `ready` until then. adjustedTo is the generation that it last adjusted to (absent: the
 * current one); where that is not the current generation, the watcher is outdated from the start.
 * beforeSnapshot: be asked before planned snapshots, one watcher after another, the one that was registered last first.
 * registeredAtUsec: when that was; for one that comes back, so that it keeps its place (absent: now).
 * notify (absent: event) and signal (absent: SIGUSR2): how to be told of a generation.
 */
export type WatchParameters = {
  name: string
  tracked?: boolean | null | undefined
  deadlineMs?: number | null | undefined
  adjustedTo?: number | null | undefined
  stage?: Stage | null | undefined
  beforeSnapshot?: boolean | null | undefined
  registeredAtUsec?: number | null | undefined
  notify?: Notify | null | undefined
  signal?: Signal | null | undefined
}

export type WatchReply = {
  watcher: string
  event: WatchEvent
  outdated: boolean
  state: State
}

/**
 * Say that a watcher has adjusted to this very generation; only the process that owns the watcher can. With `failure`, say
 * that it could not: it stays outdated and is named, and nobody waits for its deadline. Confirming twice is no error.
 */
export type ConfirmParameters = {
  watcher: string
  generation: number
  failure?: string | null | undefined
}

export type ConfirmReply = { [key: string]: never }

/**
 * Say that a watcher has prepared for the planned snapshot of this number or, with `veto`, why there must be none: then the
 * quiesce is undone. Only the process that owns the watcher can.
 */
export type ConfirmQuiesceParameters = {
  watcher: string
  quiesce: number
  veto?: string | null | undefined
}

export type ConfirmQuiesceReply = { [key: string]: never }

/**
 * Stop watching; the connection of the watch may be closed then. Who closes it without this, while it owes a confirmation
 * and its process lives, is waited for a moment longer, because it may come back.
 */
export type LeaveParameters = {
  watcher: string
}

export type LeaveReply = { [key: string]: never }

/**
 * [Supports 'more' flag]
 * Wait until the guest is ready, or until the generation differs from `from` (absent: from the current one).
 * With `more`, changes on the way are replies, at most ten a second; the last one is what was waited for. timeoutMs: at most a day; absent: an hour.
 */
export type WaitParameters = {
  for: WaitFor
  from?: number | null | undefined
  timeoutMs?: number | null | undefined
}

export type WaitReply = {
  state: State
  progress: Progress
}

/** The watchers of the caller's user; all of them for root and the group snapsafe. */
export type ListWatchersParameters = { [key: string]: never }

export type ListWatchersReply = {
  watchers: readonly Watcher[]
}

/** What can see a restore here. Where nothing works, a new generation comes by Bump alone. */
export type ListSourcesParameters = { [key: string]: never }

export type ListSourcesReply = {
  sources: readonly Source[]
}

/** What a planned snapshot would freeze, or why it cannot: `detail` says it in words. */
export type GetFreezeParameters = { [key: string]: never }

export type GetFreezeReply = {
  possible: boolean
  detail: string
}

/**
 * [Supports 'more' flag]
 * The last restores and planned snapshots, the oldest first; `last`: so many of them. With `more`, the connection stays and
 * every entry that is new, or has changed, comes when it has; an entry replaces one of the same number.
 */
export type GetLogParameters = {
  last?: number | null | undefined
}

export type GetLogReply = {
  entries: readonly LogEntry[]
}

/**
 * [Requires 'more' flag]
 * Protect memory of the caller for as long as the connection stays open: the first `length` bytes of the file behind its
 * descriptor `fd`, a memfd that it can write, are overwritten with zeros before a planned snapshot is taken, and first thing
 * after every restore. The first reply is `registered`, then `wiped` for each time.
 */
export type ProtectMemoryParameters = {
  fd: number
  length: number
}

export type ProtectMemoryReply = {
  event: MemoryEvent
  generation: number
}

/**
 * Prepare for a snapshot that is planned: watchers that asked for it prepare, one after another; protected memory is wiped;
 * the workload is frozen. The reply comes when the phase is quiesced: take the snapshot then. Where anything stands in the
 * way, all is undone, and the error says what. Closing the connection before the reply undoes it as well.
 * deadlineMs: for the watchers. thawAfterMs: how long the workload stays frozen at most; when that has passed, it is taken for
 * a clone, because nobody can know, and thawed in a new generation. force: go on although watchers veto or do not answer.
 * Absent: what the daemon's configuration says.
 */
export type QuiesceParameters = {
  reason?: string | null | undefined
  deadlineMs?: number | null | undefined
  thawAfterMs?: number | null | undefined
  force?: boolean | null | undefined
}

export type QuiesceReply = {
  state: State
}

/**
 * Go on after a planned snapshot. restored: whether this is a copy; absent: every source is asked, and without a sign of a
 * restore it is not. restoreId: names this restore, is different for each, and means that this is a copy; naming one twice
 * is one restore. seed: up to 512 bytes, in hexadecimal digits, that no other copy gets; they are mixed into the kernel's random generator.
 * A copy gets a new generation before anything is thawed. The reply comes when the workload runs again; use Wait for
 * `ready`. Where nothing was quiesced and this is no copy, nothing happens.
 */
export type ResumeParameters = {
  restored?: boolean | null | undefined
  restoreId?: string | null | undefined
  seed?: string | null | undefined
}

export type ResumeReply = {
  restored: boolean
  state: State
}

/**
 * Declare that this system was restored: a new generation, of at least `minimum` where that is given.
 * The reply comes when the page has changed; use Wait for `ready`.
 */
export type BumpParameters = {
  reason?: string | null | undefined
  minimum?: number | null | undefined
}

export type BumpReply = {
  state: State
}

/** The caller is not allowed to do this; `required` says who is. */
export type PermissionDeniedErrorParameters = {
  required: string
}

/** There is no such watcher: its connection was closed, or it never was. */
export type NoSuchWatcherErrorParameters = { [key: string]: never }

/** The watcher belongs to another process. */
export type NotOwnerErrorParameters = { [key: string]: never }

/** The confirmed generation is not the current one; adjust to the current one and confirm that. */
export type StaleGenerationErrorParameters = {
  current: number
}

/** The planned snapshot is over, or it is another one. */
export type StaleQuiesceErrorParameters = { [key: string]: never }

/** This cannot be done in this phase. */
export type WrongPhaseErrorParameters = {
  phase: Phase
}

/** A watcher does not want the snapshot; everything goes on as before. */
export type VetoedErrorParameters = {
  name: string
  pid: number
  reason: string
}

/** The system could not be quiesced; everything goes on as before. */
export type QuiesceFailedErrorParameters = {
  reason: string
}

/** The descriptor is nothing that can be protected. */
export type NotProtectableErrorParameters = {
  reason: string
}

/** A limit of the daemon was reached. */
export type LimitReachedErrorParameters = {
  limit: string
  maximum: number
}

/** What was waited for did not happen in time. */
export type TimedOutErrorParameters = {
  state: State
}

/** What arrived is not Varlink; the connection is closed. */
export type ProtocolErrorErrorParameters = {
  reason: string
}

/** The daemon failed in a way that it did not expect; its log says how. */
export type InternalErrorParameters = { [key: string]: never }

/**
 * Tells every process of a Linux system that the system was restored from a snapshot, cloned, or rolled back,
 * and finds out who has adjusted to it.
 *
 * The socket is /run/snapsafe/io.snapsafe.Generation. Anybody may call the methods that watch, wait and ask, each for itself;
 * Bump, Quiesce and Resume are for root and the group snapsafe. Callers are known by SO_PEERCRED.
 * Replies on a connection come in the order of the calls, so a process that watches confirms on a second connection.
 * Times are microseconds of CLOCK_BOOTTIME.
 */
export type Methods = {
  /** The state of this moment. */
  GetState: { parameters: GetStateParameters; reply: GetStateReply }
  /**
   * [Requires 'more' flag]
   * Become a watcher, for as long as the connection stays open. Call with `more`. The first reply is `registered` and comes
   * at once; then an event for each new generation when the watcher's stage has come, and one when the guest is ready.
   * A tracked watcher owes a Confirm for each generation within deadlineMs milliseconds (absent: the daemon's default), counted
   * from when it is told, and holds up `ready` until then. adjustedTo is the generation that it last adjusted to (absent: the
   * current one); where that is not the current generation, the watcher is outdated from the start.
   * beforeSnapshot: be asked before planned snapshots, one watcher after another, the one that was registered last first.
   * registeredAtUsec: when that was; for one that comes back, so that it keeps its place (absent: now).
   * notify (absent: event) and signal (absent: SIGUSR2): how to be told of a generation.
   */
  Watch: { parameters: WatchParameters; reply: WatchReply }
  /**
   * Say that a watcher has adjusted to this very generation; only the process that owns the watcher can. With `failure`, say
   * that it could not: it stays outdated and is named, and nobody waits for its deadline. Confirming twice is no error.
   */
  Confirm: { parameters: ConfirmParameters; reply: ConfirmReply }
  /**
   * Say that a watcher has prepared for the planned snapshot of this number or, with `veto`, why there must be none: then the
   * quiesce is undone. Only the process that owns the watcher can.
   */
  ConfirmQuiesce: { parameters: ConfirmQuiesceParameters; reply: ConfirmQuiesceReply }
  /**
   * Stop watching; the connection of the watch may be closed then. Who closes it without this, while it owes a confirmation
   * and its process lives, is waited for a moment longer, because it may come back.
   */
  Leave: { parameters: LeaveParameters; reply: LeaveReply }
  /**
   * [Supports 'more' flag]
   * Wait until the guest is ready, or until the generation differs from `from` (absent: from the current one).
   * With `more`, changes on the way are replies, at most ten a second; the last one is what was waited for. timeoutMs: at most a day; absent: an hour.
   */
  Wait: { parameters: WaitParameters; reply: WaitReply }
  /** The watchers of the caller's user; all of them for root and the group snapsafe. */
  ListWatchers: { parameters: ListWatchersParameters; reply: ListWatchersReply }
  /** What can see a restore here. Where nothing works, a new generation comes by Bump alone. */
  ListSources: { parameters: ListSourcesParameters; reply: ListSourcesReply }
  /** What a planned snapshot would freeze, or why it cannot: `detail` says it in words. */
  GetFreeze: { parameters: GetFreezeParameters; reply: GetFreezeReply }
  /**
   * [Supports 'more' flag]
   * The last restores and planned snapshots, the oldest first; `last`: so many of them. With `more`, the connection stays and
   * every entry that is new, or has changed, comes when it has; an entry replaces one of the same number.
   */
  GetLog: { parameters: GetLogParameters; reply: GetLogReply }
  /**
   * [Requires 'more' flag]
   * Protect memory of the caller for as long as the connection stays open: the first `length` bytes of the file behind its
   * descriptor `fd`, a memfd that it can write, are overwritten with zeros before a planned snapshot is taken, and first thing
   * after every restore. The first reply is `registered`, then `wiped` for each time.
   */
  ProtectMemory: { parameters: ProtectMemoryParameters; reply: ProtectMemoryReply }
  /**
   * Prepare for a snapshot that is planned: watchers that asked for it prepare, one after another; protected memory is wiped;
   * the workload is frozen. The reply comes when the phase is quiesced: take the snapshot then. Where anything stands in the
   * way, all is undone, and the error says what. Closing the connection before the reply undoes it as well.
   * deadlineMs: for the watchers. thawAfterMs: how long the workload stays frozen at most; when that has passed, it is taken for
   * a clone, because nobody can know, and thawed in a new generation. force: go on although watchers veto or do not answer.
   * Absent: what the daemon's configuration says.
   */
  Quiesce: { parameters: QuiesceParameters; reply: QuiesceReply }
  /**
   * Go on after a planned snapshot. restored: whether this is a copy; absent: every source is asked, and without a sign of a
   * restore it is not. restoreId: names this restore, is different for each, and means that this is a copy; naming one twice
   * is one restore. seed: up to 512 bytes, in hexadecimal digits, that no other copy gets; they are mixed into the kernel's random generator.
   * A copy gets a new generation before anything is thawed. The reply comes when the workload runs again; use Wait for
   * `ready`. Where nothing was quiesced and this is no copy, nothing happens.
   */
  Resume: { parameters: ResumeParameters; reply: ResumeReply }
  /**
   * Declare that this system was restored: a new generation, of at least `minimum` where that is given.
   * The reply comes when the page has changed; use Wait for `ready`.
   */
  Bump: { parameters: BumpParameters; reply: BumpReply }
}

/** Parameters of error replies, by the error's full name. */
export type Errors = {
  /** The caller is not allowed to do this; `required` says who is. */
  'io.snapsafe.Generation.PermissionDenied': PermissionDeniedErrorParameters
  /** There is no such watcher: its connection was closed, or it never was. */
  'io.snapsafe.Generation.NoSuchWatcher': NoSuchWatcherErrorParameters
  /** The watcher belongs to another process. */
  'io.snapsafe.Generation.NotOwner': NotOwnerErrorParameters
  /** The confirmed generation is not the current one; adjust to the current one and confirm that. */
  'io.snapsafe.Generation.StaleGeneration': StaleGenerationErrorParameters
  /** The planned snapshot is over, or it is another one. */
  'io.snapsafe.Generation.StaleQuiesce': StaleQuiesceErrorParameters
  /** This cannot be done in this phase. */
  'io.snapsafe.Generation.WrongPhase': WrongPhaseErrorParameters
  /** A watcher does not want the snapshot; everything goes on as before. */
  'io.snapsafe.Generation.Vetoed': VetoedErrorParameters
  /** The system could not be quiesced; everything goes on as before. */
  'io.snapsafe.Generation.QuiesceFailed': QuiesceFailedErrorParameters
  /** The descriptor is nothing that can be protected. */
  'io.snapsafe.Generation.NotProtectable': NotProtectableErrorParameters
  /** A limit of the daemon was reached. */
  'io.snapsafe.Generation.LimitReached': LimitReachedErrorParameters
  /** What was waited for did not happen in time. */
  'io.snapsafe.Generation.TimedOut': TimedOutErrorParameters
  /** What arrived is not Varlink; the connection is closed. */
  'io.snapsafe.Generation.ProtocolError': ProtocolErrorErrorParameters
  /** The daemon failed in a way that it did not expect; its log says how. */
  'io.snapsafe.Generation.Internal': InternalErrorParameters
}
