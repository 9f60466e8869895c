// The random values that a program draws, by kind: the same for the ordinary and the guarded program.
import {
  generateKeyPairSync,
  getRandomValues,
  randomBytes,
  randomInt,
  randomUUID,
  webcrypto,
} from 'node:crypto'
import { createInterface } from 'node:readline'

/** Below it, so that two draws are equal by chance once in 10^14 times. */
const intLimit = 2 ** 47

const kinds = {
  randomUUID: () => randomUUID(),
  webUUID: () => webcrypto.randomUUID(),
  randomBytes: () => randomBytes(16).toString('hex'),
  randomInt: () => String(randomInt(intLimit)),
  getRandomValues: () => Buffer.from(getRandomValues(new Uint8Array(16))).toString('hex'),
}

/** `count` values of each kind, and two Ed25519 private keys. */
export function draw(count) {
  const values = Object.fromEntries(
    Object.entries(kinds).map(([kind, one]) => [kind, Array.from({ length: count }, one)]),
  )
  values.ed25519 = Array.from({ length: 2 }, () =>
    generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'der' }).toString('hex'),
  )
  return values
}

/** Answers each line of standard input, which is JSON, with a line of JSON. */
export async function serve(answer) {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`)
  }
}
