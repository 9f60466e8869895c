import { runtimeDir } from './local-page.ts'
import { MemoryLink } from './protocol/memory-link.ts'
import { socketPath } from './protocol/paths.ts'

/** Whether the daemon protects a piece of memory, as its owner sees it. */
export class MemoryProtection {
  readonly #link: MemoryLink
  readonly #registered: Promise<void>
  #settle = { resolve: () => {}, reject: (_reason: unknown) => {} }
  #known = false
  #connected = false
  #problem: Error | undefined

  /** Asks the daemon to protect the file, again and again; `onEvent` is told of the generation each time that it speaks. */
  constructor(
    file: { readonly fd: number; readonly fileBytes: number },
    onEvent: (generation: number) => void,
  ) {
    this.#registered = new Promise<void>((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    // Nobody has to look at it.
    this.#registered.catch(() => {})
    this.#link = new MemoryLink({
      path: socketPath(runtimeDir),
      fd: file.fd,
      length: file.fileBytes,
      onEvent: (_, generation) => onEvent(generation),
      onLink: (problem) => this.#take(problem),
    })
  }

  get connected(): boolean {
    return this.#connected
  }

  get problem(): Error | undefined {
    return this.#problem
  }

  /** Whoever asks for it keeps the process alive until it has resolved. */
  get registered(): Promise<void> {
    if (!this.#known) this.#link.hold()
    return this.#registered
  }

  close(reason: unknown): void {
    this.#connected = false
    this.#link.close()
    this.#settle.reject(reason)
  }

  #take(problem: Error | undefined): void {
    this.#connected = problem === undefined
    this.#problem = problem
    if (problem) return
    this.#known = true
    this.#settle.resolve()
  }
}
