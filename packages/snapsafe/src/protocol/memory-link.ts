import { DaemonLink } from './daemon-link.ts'
import type { MemoryEvent, Methods } from './interface.generated.ts'
import type { VarlinkClient } from './varlink/client.ts'

export interface MemoryLinkOptions {
  /** The daemon's socket. */
  readonly path: string
  /** A memfd of this process, which stays open until the link is closed. */
  readonly fd: number
  /** How many of its bytes are protected, from the first. */
  readonly length: number
  /** Told of each event, with the generation in which the daemon saw it. `registered` comes with each connection. */
  readonly onEvent: (event: MemoryEvent, generation: number) => void
  /** Told when the connection is there, with undefined, and when it is lost or cannot be had, with why. */
  readonly onLink: (problem: Error | undefined) => void
}

/**
 * Memory that the daemon protects; connected again whenever the connection is lost. It does not keep the process alive, but
 * for `hold`. While there is no connection, nobody overwrites the memory at a restore.
 */
export class MemoryLink {
  readonly #options: MemoryLinkOptions
  readonly #link: DaemonLink

  constructor(options: MemoryLinkOptions) {
    this.#options = options
    this.#link = new DaemonLink({
      path: options.path,
      use: (client, established) => this.#protect(client, established),
      onLost: options.onLink,
    })
  }

  /** Keeps the process alive until the daemon protects the memory, whether or not there is a daemon. */
  hold(): void {
    this.#link.hold()
  }

  /** The daemon forgets the memory. */
  close(): void {
    this.#link.close()
  }

  async #protect(client: VarlinkClient<Methods>, established: () => void): Promise<void> {
    const { fd, length, onEvent, onLink } = this.#options
    const signal = this.#link.closed
    for await (const { event, generation } of client.stream('ProtectMemory', { fd, length }, { signal })) {
      if (event === 'registered') {
        established()
        onLink(undefined)
      }
      onEvent(event, generation)
    }
  }
}
