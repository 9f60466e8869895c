import { numberOfName } from './number-of-name.ts'

/** The number of a user of /etc/passwd, or of a number itself; undefined where there is no such user. */
export function userId(user: string | number, file = '/etc/passwd'): number | undefined {
  if (typeof user === 'number') return user
  return /^\d+$/.test(user) ? Number(user) : numberOfName(file, user)
}
