// Generated from idl/io.snapsafe.Generation.varlink by tools/generate-interface.ts; edit the former and run the latter.

export const interfaceName = 'io.snapsafe.Generation'

/** The interface text, as GetInterfaceDescription answers it. */
export const interfaceText = `# Tells every process of a Linux system that the system was restored from a snapshot, cloned, or rolled back,
# and finds out who has adjusted to it.
#
# The socket is /run/snapsafe/io.snapsafe.Generation. Anybody may call GetState, Watch, Confirm, Wait,
# ListWatchers and ListSources, each for itself; Bump is for root and the group snapsafe. Callers are known by SO_PEERCRED.
# Replies on a connection come in the order of the calls, so a process that watches confirms on a second connection.
interface io.snapsafe.Generation

# What the system is doing. running: everybody has adjusted, or missed the deadline; the guest is ready.
# adjusting: the generation has moved and watchers are at work. quiescing and quiesced: before a planned snapshot.
type Phase (running, quiescing, quiesced, adjusting)

# Why the generation moved last. boot: it has not. clone: the hypervisor gave the machine a new identity.
# ambiguous: there are signs of a restore, but they do not tell a rollback from a live migration.
# command: somebody asked for it.
type Cause (boot, clone, ambiguous, command)

# What made the kernel's random generator unique to this copy before anybody was told.
# boot: nothing had to. kernel: the kernel did, by itself. snapsafe: bytes of a hardware or CPU generator were mixed in
# and a reseed was forced. unproven: a reseed was forced, but nothing unique to this copy could be mixed in.
# failed: the reseed failed. off: not this daemon's business (see kernel_random in its configuration).
type KernelRandom (boot, kernel, snapsafe, unproven, failed, off)

# Whether a source can see a restore. working: it looks. unavailable: it cannot work on this machine. failed: it has stopped.
type SourceStatus (working, unavailable, failed)

# A source of evidence that the configuration does not switch off, and why it does not work where it does not.
type Source (source: string, status: SourceStatus, detail: ?string)

# One sign of a restore: which source saw it, and what it saw, in words. Never the hypervisor's id.
type Evidence (source: string, detail: string)

# Why a tracked watcher counts as not adjusted. pending: its deadline has not passed. deadline: it has.
# failed: the watcher itself said so.
type Owing (no, pending, deadline, failed)

# One watcher. Who is not root or of the group snapsafe sees the watchers of its own user only.
type Watcher (
  watcher: string,
  name: string,
  pid: int,
  uid: int,
  tracked: bool,
  deadlineMs: int,
  adjustedTo: int,
  owing: Owing,
  failure: ?string
)

# generation: 0 at boot, grows by at least 1 with every restore; u32, compare by inequality.
# generationId: 32 hexadecimal digits, drawn after the kernel's generator was made unique; differs between clones; public.
# changedAtUsec, readyAtUsec: CLOCK_BOOTTIME in microseconds; readyAtUsec is absent while the phase is adjusting.
# evidence: all signs of the last restore that came so far.
# degraded: the guest is ready, but tracked watchers have not adjusted, or the kernel's generator is unproven or failed.
# missed: those watchers, as far as the caller may see them.
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
  missed: []Watcher
)

type WatchEvent (registered, generation, ready)

type WaitFor (ready, generation)

# The state of this moment.
method GetState() -> (state: State)

# [Requires 'more' flag]
# Become a watcher, for as long as the connection stays open. Call with \`more\`. The first reply is \`registered\` and comes
# at once; then \`generation\` for each new generation and \`ready\` when the phase becomes running again.
# A tracked watcher owes a Confirm for each generation within deadlineMs milliseconds (absent: the daemon's default), and
# holds up \`ready\` until then. adjustedTo is the generation that it last adjusted to (absent: the current one); where that
# is not the current generation, the watcher is outdated from the start.
method Watch(name: string, tracked: ?bool, deadlineMs: ?int, adjustedTo: ?int) -> (
  watcher: string,
  event: WatchEvent,
  outdated: bool,
  state: State
)

# Say that a watcher has adjusted to this very generation; only the process that owns the watcher can. With \`failure\`, say
# that it could not: it stays outdated and is named, and nobody waits for its deadline. Confirming twice is no error.
method Confirm(watcher: string, generation: int, failure: ?string) -> ()

# [Supports 'more' flag]
# Wait until the guest is ready, or until the generation differs from \`from\` (absent: from the current one).
# With \`more\`, changes on the way are replies, at most ten a second; the last one is what was waited for. timeoutMs: at most a day; absent: an hour.
method Wait(for: WaitFor, from: ?int, timeoutMs: ?int) -> (state: State)

# The watchers of the caller's user; all of them for root and the group snapsafe.
method ListWatchers() -> (watchers: []Watcher)

# What can see a restore here. Where nothing works, a new generation comes by Bump alone.
method ListSources() -> (sources: []Source)

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
 * adjusting: the generation has moved and watchers are at work. quiescing and quiesced: before a planned snapshot.
 */
export type Phase = 'running' | 'quiescing' | 'quiesced' | 'adjusting'

/**
 * Why the generation moved last. boot: it has not. clone: the hypervisor gave the machine a new identity.
 * ambiguous: there are signs of a restore, but they do not tell a rollback from a live migration.
 * command: somebody asked for it.
 */
export type Cause = 'boot' | 'clone' | 'ambiguous' | 'command'

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

/** One sign of a restore: which source saw it, and what it saw, in words. Never the hypervisor's id. */
export type Evidence = {
  source: string
  detail: string
}

/**
 * Why a tracked watcher counts as not adjusted. pending: its deadline has not passed. deadline: it has.
 * failed: the watcher itself said so.
 */
export type Owing = 'no' | 'pending' | 'deadline' | 'failed'

/** One watcher. Who is not root or of the group snapsafe sees the watchers of its own user only. */
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
}

/**
 * generation: 0 at boot, grows by at least 1 with every restore; u32, compare by inequality.
 * generationId: 32 hexadecimal digits, drawn after the kernel's generator was made unique; differs between clones; public.
 * changedAtUsec, readyAtUsec: CLOCK_BOOTTIME in microseconds; readyAtUsec is absent while the phase is adjusting.
 * evidence: all signs of the last restore that came so far.
 * degraded: the guest is ready, but tracked watchers have not adjusted, or the kernel's generator is unproven or failed.
 * missed: those watchers, as far as the caller may see them.
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
}

export type WatchEvent = 'registered' | 'generation' | 'ready'

export type WaitFor = 'ready' | 'generation'

/** The state of this moment. */
export type GetStateParameters = { [key: string]: never }

export type GetStateReply = {
  state: State
}

/**
 * [Requires 'more' flag]
 * Become a watcher, for as long as the connection stays open. Call with `more`. The first reply is `registered` and comes
 * at once; then `generation` for each new generation and `ready` when the phase becomes running again.
 * A tracked watcher owes a Confirm for each generation within deadlineMs milliseconds (absent: the daemon's default), and
 * holds up `ready` until then. adjustedTo is the generation that it last adjusted to (absent: the current one); where that
 * is not the current generation, the watcher is outdated from the start.
 */
export type WatchParameters = {
  name: string
  tracked?: boolean | null | undefined
  deadlineMs?: number | null | undefined
  adjustedTo?: number | null | undefined
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
 * The socket is /run/snapsafe/io.snapsafe.Generation. Anybody may call GetState, Watch, Confirm, Wait,
 * ListWatchers and ListSources, each for itself; Bump is for root and the group snapsafe. Callers are known by SO_PEERCRED.
 * Replies on a connection come in the order of the calls, so a process that watches confirms on a second connection.
 */
export type Methods = {
  /** The state of this moment. */
  GetState: { parameters: GetStateParameters; reply: GetStateReply }
  /**
   * [Requires 'more' flag]
   * Become a watcher, for as long as the connection stays open. Call with `more`. The first reply is `registered` and comes
   * at once; then `generation` for each new generation and `ready` when the phase becomes running again.
   * A tracked watcher owes a Confirm for each generation within deadlineMs milliseconds (absent: the daemon's default), and
   * holds up `ready` until then. adjustedTo is the generation that it last adjusted to (absent: the current one); where that
   * is not the current generation, the watcher is outdated from the start.
   */
  Watch: { parameters: WatchParameters; reply: WatchReply }
  /**
   * Say that a watcher has adjusted to this very generation; only the process that owns the watcher can. With `failure`, say
   * that it could not: it stays outdated and is named, and nobody waits for its deadline. Confirming twice is no error.
   */
  Confirm: { parameters: ConfirmParameters; reply: ConfirmReply }
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
  /** A limit of the daemon was reached. */
  'io.snapsafe.Generation.LimitReached': LimitReachedErrorParameters
  /** What was waited for did not happen in time. */
  'io.snapsafe.Generation.TimedOut': TimedOutErrorParameters
  /** What arrived is not Varlink; the connection is closed. */
  'io.snapsafe.Generation.ProtocolError': ProtocolErrorErrorParameters
  /** The daemon failed in a way that it did not expect; its log says how. */
  'io.snapsafe.Generation.Internal': InternalErrorParameters
}
