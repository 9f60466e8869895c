import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import type { FileTree, GuestFiles } from '../framework/file-trees.ts'

const root = resolve(import.meta.dirname, '../../..')
/** Where snapsafe and the programs are in the guest; below it, `import 'snapsafe'` finds the library. */
const guestFolder = '/usr/lib/snapsafe'

export const guestPrograms = {
  snapsafe: `${guestFolder}/node_modules/@snapsafe/guest/bin/snapsafe.js`,
  snapsafed: `${guestFolder}/node_modules/@snapsafe/guest/bin/snapsafed.js`,
  ordinary: `${guestFolder}/programs/ordinary.mjs`,
  guarded: `${guestFolder}/programs/guarded.mjs`,
  drawLoop: `${guestFolder}/programs/draw-loop`,
  drawLoopNode: `${guestFolder}/programs/draw-loop.mjs`,
} as const

/** This build of the packages, with what they depend on, and the programs: as an installed image would have them. */
export function snapsafeTrees(): FileTree[] {
  const trees: FileTree[] = [{ from: join(root, 'test/vm/programs'), to: `${guestFolder}/programs` }]
  const seen = new Set<string>()
  const add = (name: string, from: string): void => {
    if (seen.has(name)) return
    seen.add(name)
    const folder = packageFolder(name, from)
    trees.push({ from: folder, to: `${guestFolder}/node_modules/${name}`, exclude: isNotForRunning })
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    for (const dependency of Object.keys(manifest.dependencies ?? {})) add(dependency, folder)
  }
  add('@snapsafe/guest', root)
  return trees
}

/** The same as an image with systemd has it: both programs in the path, the unit enabled, the group made at boot. */
export function installedSnapsafe(): GuestFiles[] {
  const units = '/usr/lib/systemd/system'
  return [
    ...snapsafeTrees(),
    { target: guestPrograms.snapsafed, to: '/usr/bin/snapsafed' },
    { target: guestPrograms.snapsafe, to: '/usr/bin/snapsafe' },
    { from: join(root, 'system/snapsafed.service'), to: `${units}/snapsafed.service` },
    { target: `${units}/snapsafed.service`, to: '/etc/systemd/system/basic.target.wants/snapsafed.service' },
    { from: join(root, 'system/snapsafe.sysusers.conf'), to: '/usr/lib/sysusers.d/snapsafe.conf' },
  ]
}

function packageFolder(name: string, from: string): string {
  const candidates = createRequire(join(from, 'package.json')).resolve.paths(name) ?? []
  for (const candidate of candidates) {
    const folder = join(candidate, name)
    try {
      readFileSync(join(folder, 'package.json'))
      return folder
    } catch {}
  }
  throw new Error(`the package ${name}, which ${from} needs, is not installed; run "npm ci"`)
}

/** Sources, types and maps stay behind: the guest's memory is small. */
function isNotForRunning(path: string): boolean {
  return (
    /(?:\.d\.[cm]?ts|\.map|\.tsbuildinfo|\.md)$/.test(path) ||
    /^(?:src|native|node_modules)(?:\/|$)/.test(path)
  )
}
