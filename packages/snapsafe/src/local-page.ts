import { resolve } from 'node:path'
import { openPage, type PageReader } from './protocol/page.ts'
import { pagePath, runtimeDirOf } from './protocol/paths.ts'

/** How often a process without a page looks for one: the daemon may start later. */
const retryMs = 1000

/**
 * Where this process looks for the daemon. Settled when this is loaded, so that page and socket are always of one daemon,
 * whatever becomes of the environment and the working directory.
 */
export const runtimeDir = resolve(runtimeDirOf())

const path = pagePath(runtimeDir)
let reader: PageReader | undefined
let reason: string | undefined
let lookedAt = Number.NEGATIVE_INFINITY
/** The generation that the daemon told a hook of, for want of a page. */
let told = 0
let opened = 0

lookForPage()

/** The generation as a plain load where the page is mapped, without any effect; without a page, what hooks were told. */
export function readGeneration(): number {
  if (reader !== undefined) return reader.generation()
  lookForPage()
  return reader === undefined ? told : (reader as PageReader).generation()
}

/**
 * What is compared with a generation to see whether it still counts: the generation, or NaN, which equals nothing, while the
 * system is quiesced for a snapshot. Two loads where the page is mapped.
 */
export function readStamp(): number {
  if (reader !== undefined) return reader.stamp()
  lookForPage()
  return reader === undefined ? told : (reader as PageReader).stamp()
}

/** Takes note of what the daemon said to a hook. */
export function hearGeneration(current: number): void {
  told = current
}

/** The page of this thread; undefined where there is none. Looks for one, though not more than once a second. */
export function findPage(): PageReader | undefined {
  lookForPage()
  return reader
}

/** Why there is no page; undefined where there is one. */
export function whyNoPage(): string | undefined {
  lookForPage()
  return reader ? undefined : reason
}

/** How many pages were opened so far: the generation of one says nothing about that of another. */
export function pagesOpened(): number {
  return opened
}

/**
 * Changes over to another page that has taken the place of this one: a daemon was set up anew while this process ran. What
 * is open stays where nothing can be found in its place: a process that has changed its root still sees all through it.
 */
export function refreshPage(): void {
  if (reader?.isCurrent(path)) return
  const previous = reader
  tryToOpen()
  if (reader !== previous) previous?.close()
}

function lookForPage(): void {
  if (reader === undefined && performance.now() - lookedAt >= retryMs) tryToOpen()
}

function tryToOpen(): void {
  lookedAt = performance.now()
  try {
    reader = openPage(path)
    opened += 1
  } catch (error) {
    reason = `there is no page that could tell this process of a restore: ${(error as Error).message}`
  }
}
