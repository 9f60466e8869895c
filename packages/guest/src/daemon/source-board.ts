import type { Source, SourceStatus } from 'snapsafe/protocol'

/** What has become of each source: written by those who start them, read by those who ask. */
export class SourceBoard {
  readonly #sources = new Map<string, Source>()

  set(source: string, status: SourceStatus, detail?: string): void {
    this.#sources.set(source, { source, status, ...(detail !== undefined && { detail }) })
  }

  list(): Source[] {
    return [...this.#sources.values()]
  }
}
