/** The group at the top, which cannot be frozen. */
export const rootGroup = '/'

/** Whether `path` is `group`, or below it. */
export function isWithin(path: string, group: string): boolean {
  return group === rootGroup || path === group || path.startsWith(`${group}/`)
}

/** The path of a child. */
export function childPath(group: string, name: string): string {
  return group === rootGroup ? `/${name}` : `${group}/${name}`
}

/** What is wrong with the path of a group in a configuration, in words; undefined where nothing is. */
export function groupPathFault(path: string): string | undefined {
  if (path === rootGroup) return undefined
  if (!path.startsWith('/')) return 'begins with a slash, as in /proc/PID/cgroup'
  if (path.includes('\n')) return 'is one line'
  const parts = path.slice(1).split('/')
  return parts.some((part) => part === '' || part === '.' || part === '..')
    ? 'has no empty parts, and none that are "." or ".."'
    : undefined
}
