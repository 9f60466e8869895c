// The same as draw-loop.c in Node: `draw-loop.mjs RING RECORDS AFTER`. What it knows of the ring is in the file at every
// moment, as with the mapping there, so that it can be read while this process is frozen.
import { ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { generation } from 'snapsafe'

const slotBytes = 32
const warmSteps = 1000

const [path, records, after] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])]
if (generation.page !== 'mapped') throw new Error(`the page is not mapped: ${generation.reason}`)

// The generator behind it is that of getrandom.
const random = openSync('/dev/urandom', 'r')
const ring = openSync(path, 'w')
ftruncateSync(ring, slotBytes * (1 + records))
const header = Buffer.alloc(slotBytes)
header.writeBigUInt64LE(BigInt(records), 8)
writeSync(ring, header, 0, slotBytes, 0)

const first = generation.number
const record = Buffer.alloc(slotBytes)
const valueAt = 24
let left = after
for (let step = 1; ; step++) {
  record.writeBigUInt64LE(BigInt(step), 0)
  // The number is what both slots begin with.
  writeSync(ring, record, 0, 8, 0)
  record.writeBigUInt64LE(process.hrtime.bigint(), 8)
  const current = generation.number
  record.writeUInt32LE(current, 16)
  readSync(random, record, valueAt, 8, null)
  if (step === warmSteps) say('drawing', step)
  if (left === 0) continue
  writeSync(ring, record, 0, slotBytes, slotBytes * (1 + (step % records)))
  if (current !== first && --left === 0) say('recorded', step)
}

/** Straight to the descriptor: a loop without pause never lets a stream write. */
function say(what, step) {
  writeSync(1, `${what} ${step}\n`)
}
