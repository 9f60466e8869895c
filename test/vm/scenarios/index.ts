import { inGuest } from './in-guest.ts'
import { plannedClone } from './planned-clone.ts'
import { restoreWhileDown } from './restore-while-down.ts'
import type { Scenario } from './scenario.ts'
import { systemdFreeze } from './systemd-freeze.ts'
import { systemdUnit } from './systemd-unit.ts'
import { unplannedClone } from './unplanned-clone.ts'

/** All scenarios, in the order of the list. */
export const scenarios: readonly Scenario[] = [
  unplannedClone,
  plannedClone,
  restoreWhileDown,
  inGuest,
  systemdUnit,
  systemdFreeze,
]
