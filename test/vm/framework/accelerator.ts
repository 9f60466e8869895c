import { type Progress, silent } from './progress.ts'

/** How the guest's instructions run: emulated, or by the hardware. */
export type Accelerator = 'tcg' | 'kvm'

/** QEMU's arguments for each. */
export const acceleratorArguments: Readonly<Record<Accelerator, { accelerator: string; cpu: string }>> = {
  tcg: { accelerator: 'tcg,thread=multi', cpu: 'max' },
  kvm: { accelerator: 'kvm', cpu: 'host' },
}

let choice: Promise<Accelerator> | undefined

/**
 * The accelerator for guests that do not name one: TCG, which runs everywhere. `SNAPSAFE_VM_ACCEL=kvm` asks for KVM, which
 * is taken if `probe` succeeds with it; a /dev/kvm alone says nothing, there are some that cannot run a stock kernel.
 */
export async function chooseAccelerator(
  probe: () => Promise<void>,
  onProgress: Progress = silent,
): Promise<Accelerator> {
  if (process.env.SNAPSAFE_VM_ACCEL !== 'kvm') return 'tcg'
  choice ??= probe().then(
    () => 'kvm' as const,
    (error: Error) => {
      onProgress(`KVM does not run a guest here, using emulation: ${error.message.split('\n', 1)[0]}`)
      return 'tcg' as const
    },
  )
  return await choice
}
