import { describe, expect, it } from 'vitest'
import { qemuCommand } from './qemu-command.ts'
import type { QemuMachineOptions } from './qemu-options.ts'

const options: QemuMachineOptions = {
  program: { command: ['ld.so', '--library-path', '/lib', 'qemu'], firmwareFolders: ['/fw'] },
  hardware: { memoryMiB: 64, kernelPath: '/k', initrdPath: '/i', append: 'a b', ports: ['one', 'two'] },
  memory: { kind: 'file', path: '/m,1', share: true },
  vmgenid: '00000000-0000-0000-0000-000000000001',
  folder: '/f',
}

function text(changes: Partial<QemuMachineOptions> = {}): string {
  return qemuCommand({ ...options, ...changes }).join(' ')
}

/** The devices and backends in their order, without what a clone may have of its own. */
function hardware(changes: Partial<QemuMachineOptions>): string[] {
  return qemuCommand({ ...options, ...changes }).filter((word) =>
    /^(virt|vmgenid|vmclock|memory-)/.test(word),
  )
}

describe('the command line of QEMU', () => {
  it('begins with the program and its own arguments', () => {
    expect(text()).toMatch(/^ld\.so --library-path \/lib qemu -L \/fw /)
  })

  it('doubles commas in paths, which would end the value', () => {
    expect(text()).toContain('mem-path=/m,,1,share=on')
  })

  it('gives every port its socket and its number', () => {
    expect(text()).toContain(
      'path=/f/port1.sock,server=on,wait=off -device virtserialport,bus=serial.0,chardev=port1,name=two,nr=2',
    )
  })

  it('has the same devices in a clone, but for the GUID and the sharing of the memory', () => {
    const clone = hardware({
      memory: { kind: 'file', path: '/m,1', share: false },
      vmgenid: 'other',
      incoming: true,
    })
    const source = hardware({})
    expect(
      clone.map((word) => word.replace('share=off', 'share=on').replace('other', options.vmgenid ?? '')),
    ).toEqual(source)
  })

  it('starts a clone stopped', () => {
    expect(text({ incoming: true })).toMatch(/-S -incoming defer$/)
  })

  it('draws a GUID where none is given, and has no device where none is wanted', () => {
    const { vmgenid: _vmgenid, ...rest } = options
    expect(qemuCommand(rest).join(' ')).toMatch(/vmgenid,guid=[0-9a-f-]{36},/)
    expect(text({ hardware: { ...options.hardware, vmgenid: false } })).not.toContain('vmgenid')
  })
})
