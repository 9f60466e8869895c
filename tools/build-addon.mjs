/**
 * Builds the addon of `packages/snapsafe` with plain `cc`: one binary for Node 20 and later, no node-gyp, no download.
 *
 *   node tools/build-addon.mjs [--force]
 *
 * CC chooses the compiler; the result goes where the compiler's own target says (CC=aarch64-linux-gnu-gcc fills
 * prebuilds/linux-arm64-glibc). Without a compiler the library runs without its addon: a warning, but a failure in CI.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const sourceDirectory = join(root, 'packages/snapsafe/native')
const headerDirectory = join(root, 'node_modules/node-api-headers/include')
const prebuildsDirectory = join(root, 'packages/snapsafe/prebuilds')
const compiler = (process.env.CC || 'cc').split(' ')
const compileTimeoutMs = 120_000
const installTimeoutMs = 600_000

const compileFlags = [
  ...['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror', '-fPIC'],
  ...['-fvisibility=hidden', '-fstack-protector-strong'],
]
const linkFlags = ['-shared', '-s', '-Wl,-z,relro', '-Wl,-z,now', '-Wl,-z,noexecstack']

/** `process.arch` of Node, by the first part of a compiler's target triple. */
const architectures = {
  x86_64: 'x64',
  aarch64: 'arm64',
  i686: 'ia32',
  arm: 'arm',
  armv7l: 'arm',
  riscv64: 'riscv64',
  powerpc64le: 'ppc64',
  s390x: 's390x',
  loongarch64: 'loong64',
}

const unavailable = await main()
if (unavailable !== undefined) {
  console.error(`build-addon: ${unavailable}`)
  console.error(
    'build-addon: snapsafe will run without its addon: slower checks, and OpenSSL cannot be reseeded',
  )
  process.exitCode = process.env.CI === 'true' ? 1 : 0
}

/** Returns why there is no addon; a defect of our own sources ends with the compiler's messages and status 1. */
async function main() {
  if (process.platform !== 'linux') return `the addon is for Linux only, and this is ${process.platform}`
  if (!existsSync(join(headerDirectory, 'node_api.h')))
    return `no ${headerDirectory}; run "npm install" first`
  if (!canCompile() && !(installCompiler() && canCompile())) {
    return `"${compiler.join(' ')}" cannot compile a C program; install a C compiler and the headers of the C library
  Debian, Ubuntu:  apt-get install gcc libc6-dev
  Fedora:          dnf install gcc glibc-devel
  Alpine:          apk add gcc musl-dev linux-headers
or name another compiler in CC`
  }
  const target = targetDirectory()
  const output = join(target, 'snapsafe.node')
  const sources = filesOf(sourceDirectory).filter((file) => file.endsWith('.c'))
  if (!process.argv.includes('--force') && isNewer(output, filesOf(sourceDirectory))) return undefined
  mkdirSync(target, { recursive: true })
  // Renamed into place: a process that has the old one mapped keeps it, and nobody loads half a file.
  const unfinished = `${output}.${process.pid}.tmp`
  const built = cc(
    [...compileFlags, `-I${headerDirectory}`, ...linkFlags, '-o', unfinished, ...sources],
    'inherit',
  )
  if (built.status !== 0) {
    rmSync(unfinished, { force: true })
    console.error('build-addon: the sources of the addon do not compile')
    process.exit(1)
  }
  renameSync(unfinished, output)
  console.log(`build-addon: ${output}`)
  return undefined
}

function cc(args, stdio = 'pipe', input = undefined) {
  const [command, ...first] = compiler
  const output = stdio === 'inherit' ? ['ignore', 'inherit', 'inherit'] : 'pipe'
  return spawnSync(command, [...first, ...args], {
    stdio: output,
    input,
    encoding: 'utf8',
    timeout: compileTimeoutMs,
  })
}

/** Whether there is a compiler, the headers of the C library, those of Linux, and what links a program. */
function canCompile() {
  const probe = '#include <stdlib.h>\n#include <linux/random.h>\nint main(void) { return EXIT_SUCCESS; }\n'
  return cc(['-x', 'c', '-o', '/dev/null', '-'], 'pipe', probe).status === 0
}

/** On Debian as root, installs what is missing; nobody else's system is touched. */
function installCompiler() {
  if (process.env.CC || process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) return false
  console.error('build-addon: no C compiler; installing gcc and libc6-dev with apt-get')
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const steps = [['update'], ['install', '-y', '--no-install-recommends', 'gcc', 'libc6-dev']]
  return steps.every(
    (step) =>
      spawnSync('apt-get', step, { stdio: ['ignore', 'ignore', 'inherit'], env, timeout: installTimeoutMs })
        .status === 0,
  )
}

/** Where the binary belongs, by what the compiler makes: its machine, and the C library of its headers. */
function targetDirectory() {
  const machine = cc(['-dumpmachine']).stdout.split('-')[0] ?? ''
  const arch = architectures[machine] ?? process.arch
  // Not by the triple: that of musl-gcc says "gnu".
  const macros = cc(['-x', 'c', '-E', '-dM', '-'], 'pipe', '#include <features.h>\n').stdout
  return join(prebuildsDirectory, `linux-${arch}-${macros.includes('__GLIBC__') ? 'glibc' : 'musl'}`)
}

function filesOf(directory) {
  return readdirSync(directory).map((name) => join(directory, name))
}

function isNewer(output, sources) {
  const builtAtMs = statSync(output, { throwIfNoEntry: false })?.mtimeMs ?? 0
  return [...sources, fileURLToPath(import.meta.url)].every((file) => statSync(file).mtimeMs < builtAtMs)
}
