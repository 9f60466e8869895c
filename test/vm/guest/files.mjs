import { open, readFile as read, writeFile as write } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

const maxFileBytes = 16 * 1024 * 1024
const pollMs = 20

/** The content of a file as base64: all of it or, with `bytes`, so many at most from `offset` on. */
export async function readFile({ path, offset, bytes }) {
  const data = bytes === undefined ? await read(path) : await readPart(path, offset, bytes)
  if (data.length > maxFileBytes) throw new RangeError(`${path} has more than ${maxFileBytes} bytes`)
  return data.toString('base64')
}

async function readPart(path, offset, bytes) {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, offset)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** Writes base64 `data`; `flag` as in fs.writeFile. */
export async function writeFile({ path, data, mode = 0o644, flag = 'w' }) {
  await write(path, Buffer.from(data, 'base64'), { mode, flag })
}

/** Resolves with the file's content as base64 once it exists and, if `contains` is given, holds that text. A socket is empty. */
export async function waitFile({ path, contains = '', timeoutMs }) {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const data = await read(path).catch((error) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
      if (error.code === 'ENXIO') return Buffer.alloc(0)
      throw error
    })
    if (data?.includes(contains)) return data.toString('base64')
    if (performance.now() > deadline) {
      throw new Error(
        `${path} ${data ? `does not contain ${JSON.stringify(contains)}` : 'is not there'} after ${timeoutMs} ms`,
      )
    }
    await sleep(pollMs)
  }
}
