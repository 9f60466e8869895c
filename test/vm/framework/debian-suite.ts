/** Where in the Debian archive packages come from. */
export interface DebianSuite {
  /** For messages and cache folders. */
  name: string
  /** Suites that apt reads. */
  suites: readonly string[]
  /** The suite to prefer where several are read (`apt-get -t`). */
  target?: string
}

export const trixie: DebianSuite = { name: 'trixie', suites: ['trixie'] }
export const bookworm: DebianSuite = { name: 'bookworm', suites: ['bookworm'] }
export const sid: DebianSuite = { name: 'sid', suites: ['sid'] }

/** Where a mirror without trixie still has a QEMU and a kernel of its age. */
export const bookwormBackports: DebianSuite = {
  name: 'bookworm-backports',
  suites: ['bookworm', 'bookworm-backports'],
  target: 'bookworm-backports',
}
