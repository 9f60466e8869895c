import { styleText } from 'node:util'
import { unplannedClone } from '../scenarios/unplanned-clone.ts'
import { renderDemo } from './render.ts'

const clones = 2
const json = process.argv.includes('--json')
const started = performance.now()

function onProgress(line: string): void {
  const seconds = ((performance.now() - started) / 1000).toFixed(1).padStart(6)
  process.stderr.write(`${styleText('dim', `${seconds} s`)}  ${line}\n`)
}

try {
  onProgress('a real virtual machine is booted, snapshotted, and started twice from the snapshot')
  const result = await unplannedClone.run({ clones, kernel: '6.12', onProgress })
  if (json) process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`)
  else process.stdout.write(`\n${renderDemo(result, process.stdout.isTTY === true)}\n`)
  process.exitCode = result.ok ? 0 : 1
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
}
