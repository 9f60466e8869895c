import { closeSync, openSync } from 'node:fs'
import { loadNative } from 'snapsafe/native'
import type { PageSnapshot } from 'snapsafe/protocol'
import { decodePage, headerWords, sequenceOffset } from '../../packages/snapsafe/src/protocol/page-layout.ts'

const lookEveryMs = 2
const sequenceWord = sequenceOffset / 4

/** What everybody is shown, by the page or by an answer. */
type Shown = Pick<PageSnapshot, 'generation' | 'phase' | 'id'>

export interface PageObserverOptions {
  /** Why the phase must not be this one at this moment; asked at each look. */
  readonly judge: (shown: Shown) => string | undefined
}

/** A reader of the page from its first moment to the end of the test, whichever daemon writes it and whether one does. */
export class PageObserver {
  readonly #words: Uint32Array
  readonly #judge: PageObserverOptions['judge']
  readonly #ids = new Map<number, string>()
  readonly #generations = new Map<string, number>()
  readonly #timer: NodeJS.Timeout
  #last: PageSnapshot | undefined
  #highest = 0
  #fault: string | undefined

  constructor(path: string, { judge }: PageObserverOptions) {
    const { addon } = loadNative()
    if (!addon) throw new Error('these tests need the addon: npm run build')
    const fd = openSync(path, 'r')
    this.#words = new Uint32Array(addon.mapPage(fd))
    closeSync(fd)
    this.#judge = judge
    this.#timer = setInterval(() => this.look(), lookEveryMs)
  }

  /** The page as it is; undefined while it is being written, or when who wrote it died. */
  look(): PageSnapshot | undefined {
    const page = this.#read()
    if (page) {
      this.#last = page
      const fault = page.generation < this.#highest ? `it goes back from ${this.#highest}` : this.note(page)
      if (fault !== undefined) this.#fault ??= `the page shows generation ${page.generation}: ${fault}`
    }
    return page
  }

  /** The last page that was seen whole. */
  get last(): PageSnapshot | undefined {
    return this.#last
  }

  /** The first thing that must not have been on the page. */
  get fault(): string | undefined {
    return this.#fault
  }

  /** The highest generation that anybody was shown. */
  get highest(): number {
    return this.#highest
  }

  /** Takes what the daemon has shown, be it late; returns why that must not be. */
  note(shown: Shown): string | undefined {
    const { generation, id } = shown
    this.#highest = Math.max(this.#highest, generation)
    const known = this.#ids.get(generation)
    if (known !== undefined && known !== id)
      return `generation ${generation} was shown with the ids ${known} and ${id}`
    const other = this.#generations.get(id)
    if (other !== undefined && other !== generation)
      return `the id ${id} was shown with generations ${other} and ${generation}`
    this.#ids.set(generation, id)
    this.#generations.set(id, generation)
    return this.#judge(shown)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  /** The reader's half of the seqlock, once. */
  #read(): PageSnapshot | undefined {
    const words = this.#words
    const sequence = Atomics.load(words, sequenceWord)
    if (sequence % 2 !== 0) return undefined
    const copy = Uint32Array.from({ length: headerWords }, (_, index) => Atomics.load(words, index))
    if (Atomics.load(words, sequenceWord) !== sequence) return undefined
    return decodePage(Buffer.from(copy.buffer))
  }
}
