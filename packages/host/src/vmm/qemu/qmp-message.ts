/** An asynchronous message of QEMU: https://www.qemu.org/docs/master/interop/qmp-spec.html */
export interface QmpEvent {
  event: string
  data: Record<string, unknown>
}

/** What one line from QEMU can be. */
export type QmpMessage =
  | { kind: 'greeting' }
  | { kind: 'event'; event: QmpEvent }
  | { kind: 'return'; id: number; value: unknown }
  | { kind: 'error'; id: number; errorClass: string; description: string }

/** Reads one line of QMP. Throws an `Error` that quotes the line if it is none of the messages of the protocol. */
export function readQmpMessage(line: string): QmpMessage {
  const message = parseObject(line)
  if (isObject(message.QMP)) return { kind: 'greeting' }
  if (typeof message.event === 'string') {
    return {
      kind: 'event',
      event: { event: message.event, data: isObject(message.data) ? message.data : {} },
    }
  }
  // QEMU answers a line that it could not parse without an id; no command of ours has id 0, so nobody takes it.
  const id = typeof message.id === 'number' ? message.id : 0
  if ('return' in message) return { kind: 'return', id, value: message.return }
  if (isObject(message.error)) {
    return {
      kind: 'error',
      id,
      errorClass: String(message.error.class),
      description: String(message.error.desc),
    }
  }
  throw new Error(`not a QMP message: ${quote(line)}`)
}

function parseObject(line: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    throw new Error(`not JSON: ${quote(line)}`)
  }
  if (!isObject(value)) throw new Error(`not a QMP message: ${quote(line)}`)
  return value
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function quote(line: string): string {
  return JSON.stringify(line.length > 80 ? `${line.slice(0, 80)}…` : line)
}
