import { readFileSync } from 'node:fs'

/** The name of a group of this machine, or undefined where it has none. */
export function groupName(gid: number): string | undefined {
  return groups().find(([, , id]) => id === String(gid))?.[0]
}

/** The number of a group of this machine, or undefined where there is none of this name. */
export function groupNumber(name: string): number | undefined {
  const id = groups().find(([group]) => group === name)?.[2]
  return id === undefined ? undefined : Number(id)
}

function groups(): string[][] {
  return readFileSync('/etc/group', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
}
