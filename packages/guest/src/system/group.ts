import { numberOfName } from './number-of-name.ts'

/** The number of a group of /etc/group, or undefined where there is no such group. */
export function groupId(name: string): number | undefined {
  return numberOfName('/etc/group', name)
}
