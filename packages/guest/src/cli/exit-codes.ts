/** What the command's exit status says. Part of its interface: scripts depend on it. */
export const exitCodes = {
  ok: 0,
  /** It was tried, and went wrong. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The guest is not ready, not everybody has adjusted, or somebody does not want the snapshot. */
  notReady: 3,
  /** The daemon does not do this for the caller. */
  noPrivilege: 4,
  /** This cannot work on this machine. */
  notSupported: 5,
  /** Nobody answers on the socket. */
  notRunning: 7,
  /** As timeout(1) has it. */
  timedOut: 124,
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]
