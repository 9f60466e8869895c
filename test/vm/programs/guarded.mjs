// The same program with snapsafe: key and id belong to a generation, draws are guarded, and the machine is not ready until
// the program has made its key and id anew.
import { randomBytes, randomUUID } from 'node:crypto'
import { guard, onRestore, perGeneration } from 'snapsafe'
import { draw, serve } from './values.mjs'

const sessionKey = perGeneration(() => randomBytes(32), { discard: (old) => old.fill(0) })
const instanceId = perGeneration(() => randomUUID())
sessionKey()
instanceId()

const hook = onRestore(
  () => {
    sessionKey()
    instanceId()
  },
  { name: 'session-keys' },
)
await hook.registered

await serve(({ count }) =>
  guard((generation) => ({
    generation,
    sessionKey: [sessionKey().toString('hex')],
    instanceId: [instanceId()],
    ...draw(count),
  })),
)
