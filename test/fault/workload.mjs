import { closeSync, openSync } from 'node:fs'
import { loadNative } from 'snapsafe/native'
import { openPage } from 'snapsafe/protocol'

/**
 * What is frozen: makes steps for ever, and looks at the page in each. Its own file, a page that the test maps, says how many
 * steps it has begun (word 0), how often the generation was another one (word 1), and for each of these times, in a ring, the
 * generation (even words) and the step that saw it first (odd words). A step is counted before it looks, so one that stands
 * still at step n looks at the page again in step n + 1, whatever it had seen in step n.
 */
const [pagePath, filePath] = process.argv.slice(2)
const firstSlot = 2
const slots = 511
const pauseMs = 2

const { addon } = loadNative()
const fd = openSync(filePath, 'r+')
const file = addon.openPageWriter(fd)
closeSync(fd)
const page = openPage(pagePath)
const pause = new Int32Array(new SharedArrayBuffer(4))

const parent = process.ppid

let seen = -1
let changes = 0
// Nobody looks at the steps of one whose test is gone.
for (let step = 1; process.ppid === parent; step++) {
  addon.pageStore32(file, 0, step)
  const generation = page.generation()
  if (generation !== seen) {
    const slot = firstSlot + 2 * (changes % slots)
    addon.pageStore32(file, slot * 4, generation)
    addon.pageStore32(file, (slot + 1) * 4, step)
    addon.pageStore32(file, 4, ++changes)
    seen = generation
  }
  Atomics.wait(pause, 0, 0, pauseMs)
}
