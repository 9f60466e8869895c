import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { QemuHardware, QemuMachineOptions, QemuMemory } from './qemu-options.ts'

/** virtio-serial-pci has 31 ports, the first is reserved for a console. */
const maxPorts = 30

/** The files of one QEMU process in its folder. */
export function qemuFiles(folder: string) {
  return {
    qmpSocket: join(folder, 'qmp.sock'),
    consoleLog: join(folder, 'console.log'),
    processLog: join(folder, 'qemu.log'),
    portSocket: (index: number): string => join(folder, `port${index}.sock`),
  }
}

/** The complete argument vector, command first. The device order never depends on the snapshot side, as QEMU demands. */
export function qemuCommand(options: QemuMachineOptions): [string, ...string[]] {
  const { program, hardware, folder } = options
  const files = qemuFiles(folder)
  const [command, ...prefix] = program.command
  return [
    command,
    ...prefix,
    ...(program.firmwareFolders ?? []).flatMap((path) => ['-L', path]),
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none'],
    ...['-machine', `${hardware.machine ?? 'pc'},memory-backend=mem`],
    ...['-accel', hardware.accelerator ?? 'tcg,thread=multi'],
    ...['-cpu', hardware.cpu ?? 'max', '-smp', String(hardware.cpus ?? 2)],
    ...memoryArguments(options.memory, hardware.memoryMiB),
    ...bootArguments(hardware),
    ...[
      '-chardev',
      `file,id=console,path=${value(files.consoleLog)},append=on`,
      '-serial',
      'chardev:console',
    ],
    ...identityArguments(options),
    ...portArguments(hardware.ports ?? [], files.portSocket),
    ...(hardware.extraArguments ?? []),
    ...['-qmp', `unix:${value(files.qmpSocket)},server=on,wait=off`],
    ...(options.paused || options.incoming ? ['-S'] : []),
    ...(options.incoming ? ['-incoming', 'defer'] : []),
  ]
}

function memoryArguments(memory: QemuMemory, memoryMiB: number): string[] {
  const size = ['-m', `${memoryMiB}M`]
  if (memory.kind === 'anonymous') return [...size, '-object', `memory-backend-ram,id=mem,size=${memoryMiB}M`]
  const share = memory.share ? 'on' : 'off'
  const backend = `memory-backend-file,id=mem,size=${memoryMiB}M,mem-path=${value(memory.path)},share=${share}`
  return [...size, '-object', backend]
}

function bootArguments(hardware: QemuHardware): string[] {
  return [
    ...['-kernel', hardware.kernelPath],
    ...(hardware.initrdPath === undefined ? [] : ['-initrd', hardware.initrdPath]),
    ...(hardware.append === undefined ? [] : ['-append', hardware.append]),
  ]
}

function identityArguments(options: QemuMachineOptions): string[] {
  const { vmgenid = true, vmclock = false } = options.hardware
  return [
    ...(vmgenid ? ['-device', `vmgenid,guid=${value(options.vmgenid ?? randomUUID())},id=vmgenid`] : []),
    ...(vmclock ? ['-device', 'vmclock'] : []),
  ]
}

function portArguments(ports: readonly string[], socket: (index: number) => string): string[] {
  if (ports.length > maxPorts) throw new RangeError(`${ports.length} ports, a machine has ${maxPorts}`)
  const each = ports.flatMap((name, index) => [
    ...['-chardev', `socket,id=port${index},path=${value(socket(index))},server=on,wait=off`],
    ...['-device', `virtserialport,bus=serial.0,chardev=port${index},name=${value(name)},nr=${index + 1}`],
  ])
  return ['-device', 'virtio-serial-pci,id=serial', ...each]
}

/** In QEMU's key=value lists a comma ends the value unless it is doubled. */
function value(text: string): string {
  return text.replaceAll(',', ',,')
}
