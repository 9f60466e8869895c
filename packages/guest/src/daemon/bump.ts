import type { Methods, ServerCall } from 'snapsafe/protocol'
import { serviceErrors } from 'snapsafe/protocol'
import type { ApiContext } from './api.ts'
import { checkedReason } from './reason.ts'
import { viewState } from './view.ts'

/** SysGenID's counter is a signed 32-bit number, and half of the page's is left for counting on. */
const maxMinimum = 2 ** 31 - 1

/** Bump: declares a restore, and answers when the page has changed. */
export async function bump(
  call: ServerCall<Methods['Bump']['parameters'], Methods['Bump']['reply']>,
  { manager, caller }: ApiContext,
): Promise<void> {
  const { reason, minimum } = call.parameters
  if (minimum != null && (minimum < 0 || minimum > maxMinimum)) {
    throw serviceErrors.invalidParameter('minimum')
  }
  const why = checkedReason(reason)
  const changed = new Promise<void>((resolve) => {
    const unsubscribe = manager.audience.subscribe((change) => {
      if (change.type !== 'generation') return
      unsubscribe()
      resolve()
    })
  })
  manager.report(
    {
      source: 'command',
      kind: 'command',
      cause: 'command',
      detail: `process ${caller.pid} of user ${caller.uid} asked for a new generation`,
      kernelReseeded: false,
    },
    {
      ...(why !== undefined && { reason: why }),
      ...(minimum != null && { minimum }),
    },
  )
  await changed
  call.reply({ state: viewState(manager.state, caller) })
}
