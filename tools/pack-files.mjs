// Run by npm when a package is packed, in the package's folder: brings what belongs into every package, and lies once in the
// repository, along with it. The copies are ignored by git.
import { copyFileSync, cpSync, existsSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

copyFileSync(join(root, 'LICENSE'), 'LICENSE')
for (const folder of process.argv.slice(2)) {
  if (!existsSync(join(root, folder))) throw new Error(`there is no ${folder} to pack`)
  rmSync(folder, { recursive: true, force: true })
  cpSync(join(root, folder), folder, { recursive: true })
}
