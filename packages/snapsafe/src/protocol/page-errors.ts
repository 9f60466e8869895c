/** Why a file is not taken for the page. */
export type PageFault =
  | 'not a regular file'
  | 'symbolic link'
  | 'wrong size'
  | 'wrong magic'
  | 'wrong owner'
  | 'writable by others'

/** There is no page at the path, or it may not be opened. `cause` is the error of the system, with its errno code. */
export class PageUnavailableError extends Error {
  readonly code = 'ERR_SNAPSAFE_PAGE_UNAVAILABLE'

  constructor(path: string, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause)
    super(`cannot open the generation page ${path}: ${why}; is snapsafed running?`, { cause })
    this.name = 'PageUnavailableError'
  }
}

/** The file is something else than a page. */
export class PageForeignError extends Error {
  readonly code = 'ERR_SNAPSAFE_PAGE_FOREIGN'
  readonly fault: PageFault

  constructor(path: string, fault: PageFault) {
    super(`${path} is not a generation page of snapsafe (${fault}); remove it if nobody needs it`)
    this.name = 'PageForeignError'
    this.fault = fault
  }
}

/** No consistent copy could be taken in time: a daemon has died while it was publishing. The next one repairs it. */
export class PageBusyError extends Error {
  readonly code = 'ERR_SNAPSAFE_PAGE_BUSY'

  constructor(path: string) {
    super(
      `${path} stays in the middle of an update; snapsafed has died while writing and repairs it when it starts`,
    )
    this.name = 'PageBusyError'
  }
}

/** The reader or writer was used after its `close`. */
export class PageClosedError extends Error {
  readonly code = 'ERR_SNAPSAFE_PAGE_CLOSED'

  constructor(path: string) {
    super(`the generation page ${path} was closed by this process; open it again`)
    this.name = 'PageClosedError'
  }
}
