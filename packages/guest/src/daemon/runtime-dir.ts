import { chmodSync, statSync } from 'node:fs'
import { makeDirectory } from '../system/make-directory.ts'
import type { DaemonPaths } from './paths.ts'
import { temporarySocket } from './server.ts'
import { StartError } from './start-error.ts'

const writableByOthersMask = 0o002
/** unix(7): sun_path has 108 bytes, of which the last is NUL. */
const maxSocketPathBytes = 107

/** Makes the runtime directory, or takes one that is there and is safe. Throws a StartError where it is not. */
export function makeRuntimeDir({ runtimeDir: path, socket }: DaemonPaths): void {
  try {
    // libuv would cut it off without a word, and bind another path.
    if (Buffer.byteLength(temporarySocket(socket)) > maxSocketPathBytes)
      throw new Error('its path is too long for a socket')
    makeDirectory(path)
    // A directory such as /tmp: others could put their own socket in our place, and its mode is not ours to change.
    const { mode, uid } = statSync(path)
    if ((mode & writableByOthersMask) !== 0) throw new Error('everybody may write to it')
    if (uid !== 0 && uid !== process.geteuid?.()) throw new Error(`it belongs to user ${uid}`)
    chmodSync(path, 0o755)
  } catch (error) {
    throw new StartError(
      `cannot use the runtime directory ${path}: ${(error as Error).message}; run as root, or name another with --runtime-dir`,
    )
  }
}
