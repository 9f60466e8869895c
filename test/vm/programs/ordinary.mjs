// A program as most are: it makes its session key and its instance id at start, and draws random values as it goes.
import { randomBytes, randomUUID } from 'node:crypto'
import { draw, serve } from './values.mjs'

const sessionKey = randomBytes(32)
const instanceId = randomUUID()

await serve(({ count }) => ({
  sessionKey: [sessionKey.toString('hex')],
  instanceId: [instanceId],
  ...draw(count),
}))
