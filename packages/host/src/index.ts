export { DeadlineError, type Wait, withDeadline } from './deadline.ts'
export { LineSplitter } from './vmm/qemu/line-splitter.ts'
export {
  QemuExitedError,
  QemuSnapshotError,
  QmpCommandError,
  QmpConnectionError,
} from './vmm/qemu/qemu-errors.ts'
export { describeExit, type QemuExit, QemuMachine } from './vmm/qemu/qemu-machine.ts'
export type { QemuHardware, QemuMachineOptions, QemuMemory, QemuProgram } from './vmm/qemu/qemu-options.ts'
export {
  cloneQemuSnapshot,
  openQemuSnapshot,
  type QemuCloneOptions,
  type QemuSnapshot,
  takeQemuSnapshot,
} from './vmm/qemu/qemu-snapshot.ts'
export { QmpClient } from './vmm/qemu/qmp.ts'
export type { QmpEvent } from './vmm/qemu/qmp-message.ts'
export { unixConnect } from './vmm/qemu/unix-connect.ts'
