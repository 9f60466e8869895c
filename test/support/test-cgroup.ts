import { type ChildProcess, spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findCgroup2 } from '../../packages/guest/src/system/cgroup/cgroup-mount.ts'
import { eventually } from './eventually.ts'

let made = 0

/** A program of a test, and how many steps it has made. */
export interface Loop {
  readonly pid: number
  readonly process: ChildProcess
  steps(): number
}

/** A cgroup of the test's own, with what the test starts in it; it goes with all of that. Needs `lacking('cgroup2')`. */
export class TestCgroup {
  /** The group, as the kernel names it. */
  readonly path = `/snapsafe-test-${process.pid}-${made++}`
  readonly directory = join(findCgroup2() ?? '/sys/fs/cgroup', this.path)
  /** For files, for instance the record. */
  readonly folder = mkdtempSync(join(tmpdir(), 'snapsafe-cgroup-'))

  constructor() {
    mkdirSync(this.directory)
  }

  /** Makes groups below this one; returns the kernel's path of the last. */
  make(...names: string[]): string {
    for (const name of names) mkdirSync(join(this.directory, name), { recursive: true })
    return `${this.path}/${names.at(-1)}`
  }

  /** Starts a program in a group below this one. */
  run(name: string, command: string, args: readonly string[], env = process.env): ChildProcess {
    const procs = join(this.directory, name, 'cgroup.procs')
    const script = 'echo $$ > "$0" && exec "$@"'
    return spawn('sh', ['-c', script, procs, command, ...args], { stdio: ['ignore', 'pipe', 'inherit'], env })
  }

  /** Starts a program that writes a byte to a file, again and again, and resolves when it does. */
  async loop(name: string): Promise<Loop> {
    const file = join(mkdtempSync(join(this.folder, 'loop-')), 'steps')
    const child = this.run(name, 'sh', ['-c', 'while :; do printf . >> "$0"; done', file])
    const loop = {
      pid: child.pid ?? 0,
      process: child,
      steps: () => (existsSync(file) ? statSync(file).size : 0),
    }
    await eventually(`the loop in ${name} runs`, () => loop.steps() > 0)
    return loop
  }

  read(name: string, file: string): string {
    return readFileSync(join(this.directory, name, file), 'utf8').trim()
  }

  write(name: string, file: string, text: string): void {
    writeFileSync(join(this.directory, name, file), text)
  }

  /** Whether everything in the group stands still. */
  isFrozen(name: string): boolean {
    return this.read(name, 'cgroup.events').includes('frozen 1')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // SIGKILL for all that is below; it reaches those that are frozen, too.
    this.write('', 'cgroup.kill', '1')
    await eventually('the group is empty', () => this.read('', 'cgroup.events').includes('populated 0'))
    remove(this.directory)
    rmSync(this.folder, { recursive: true, force: true })
  }
}

function remove(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) remove(join(directory, entry.name))
  }
  rmdirSync(directory)
}
