// Brings a fresh checkout on a fresh Debian machine to where tests and demonstrations run: npm packages, a C compiler for the
// addon (see build-addon.mjs), the build. Uses nothing but Node, since nothing else is there yet. A second run is quick.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const quiet = process.argv.includes('--quiet')
const oldestNode = [20, 19]

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < oldestNode[0] || (major === oldestNode[0] && minor < oldestNode[1])) {
  fail(`Node ${process.versions.node} is too old; install Node ${oldestNode.join('.')} or newer`)
}
if (process.platform !== 'linux') fail('snapsafe is for Linux; build and test it on a Linux machine')

if (packagesAreStale()) {
  // Its `prepare` script builds as well, but only after it has installed something.
  run('npm packages', 'npm', ['ci', '--no-audit', '--no-fund', '--loglevel', 'notice'])
}
run('build', 'npm', ['run', '--silent', 'build'])

/** npm writes its hidden lockfile last, so a younger package-lock.json means that packages are missing. */
function packagesAreStale() {
  const installed = join(root, 'node_modules/.package-lock.json')
  if (!existsSync(installed)) return true
  return statSync(join(root, 'package-lock.json')).mtimeMs > statSync(installed).mtimeMs
}

function run(what, command, args) {
  if (!quiet) process.stderr.write(`setup: ${what} …\n`)
  // Standard output belongs to the command that follows, for instance to its JSON.
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] })
  if (error) fail(`cannot run ${command}: ${error.message}`)
  if (status !== 0)
    fail(`${what} failed: ${command} ${args.join(' ')} ended with ${status}; its output is above`)
}

function fail(message) {
  process.stderr.write(`setup: ${message}\n`)
  process.exit(1)
}
