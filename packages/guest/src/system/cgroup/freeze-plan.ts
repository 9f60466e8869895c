import { childPath, isWithin, rootGroup } from './group-path.ts'

/** What a plan asks of the hierarchy. Paths begin with a slash; `/` is the top. */
export interface FreezeTree {
  exists(path: string): boolean
  /** The paths of the groups right below; none where the group is gone. */
  children(path: string): string[]
  /** Whether processes are in the group itself, those of its children aside. */
  hasProcesses(path: string): boolean
}

/** A group that is to run on, and why, in words. */
export interface GroupReason {
  readonly group: string
  readonly why: string
}

/** `freeze`: groups to freeze, each with all below it, none inside another. `running`: what is left out of those wanted. */
export interface FreezePlan {
  readonly freeze: string[]
  readonly running: GroupReason[]
}

/**
 * Which groups to freeze so that everything in `groups` stands still but what is in `exempt`. A group with an exempt one
 * inside is not frozen as a whole, and no slice of systemd is: its children are, and its own processes run on. `*` in a path stands for anything within
 * one part of it. An exempt group that is outside of all the others does not matter and is not reported.
 */
export function planFreeze(
  tree: FreezeTree,
  groups: readonly string[],
  exempt: readonly GroupReason[],
): FreezePlan {
  const plan: FreezePlan = { freeze: [], running: [] }
  const spared = existing(tree, exempt)
  const wanted = new Set<string>()
  for (const pattern of groups) {
    const paths = expand(tree, pattern)
    if (paths.length === 0) plan.running.push({ group: pattern, why: 'there is no such group' })
    for (const path of paths) wanted.add(path)
  }
  for (const path of wanted) {
    const insideAnother = [...wanted].some((other) => other !== path && isWithin(path, other))
    if (!insideAnother) visit(tree, path, spared, plan)
  }
  return plan
}

function visit(tree: FreezeTree, path: string, spared: ReadonlyMap<string, string>, plan: FreezePlan): void {
  const around = [...spared.keys()].find((group) => isWithin(path, group))
  if (around !== undefined) {
    const why = spared.get(around) ?? ''
    plan.running.push({ group: path, why: around === path ? why : `it is inside ${around}: ${why}` })
    return
  }
  const inside = [...spared.keys()].find((group) => isWithin(group, path))
  if (inside === undefined && path !== rootGroup && !isSlice(path)) {
    plan.freeze.push(path)
    return
  }
  if (path !== rootGroup && tree.hasProcesses(path))
    plan.running.push({ group: path, why: `has processes of its own beside ${inside ?? 'its units'}` })
  for (const child of tree.children(path)) visit(tree, child, spared, plan)
}

/**
 * systemd 254 and newer clones what it starts right into its group, and waits until the child has called execve(2). In a frozen
 * slice that is never, and process 1 does nothing else meanwhile: it would not start a daemon again that was killed, and nobody
 * would ever thaw. In a slice that is not frozen, the new unit runs.
 */
function isSlice(path: string): boolean {
  return path.endsWith('.slice')
}

/** The exempt groups that there are, with all reasons of each. */
function existing(tree: FreezeTree, exempt: readonly GroupReason[]): Map<string, string> {
  const reasons = new Map<string, Set<string>>()
  for (const { group, why } of exempt) {
    for (const path of expand(tree, group)) reasons.set(path, (reasons.get(path) ?? new Set()).add(why))
  }
  return new Map([...reasons].map(([path, whys]) => [path, [...whys].join('; ')]))
}

/** The groups that a path with wildcards names. */
function expand(tree: FreezeTree, pattern: string): string[] {
  if (!pattern.includes('*')) return tree.exists(pattern) ? [pattern] : []
  let found: string[] = [rootGroup]
  for (const part of pattern.split('/').slice(1)) {
    found = found.flatMap((group) => {
      if (!part.includes('*')) return [childPath(group, part)]
      const matches = matcher(part)
      return tree.children(group).filter((child) => matches.test(child.slice(child.lastIndexOf('/') + 1)))
    })
  }
  return found.filter((path) => tree.exists(path))
}

function matcher(part: string): RegExp {
  const literals = part.split('*').map((literal) => literal.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${literals.join('.*')}$`, 's')
}
