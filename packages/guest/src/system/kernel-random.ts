import { closeSync, constants, openSync, readSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { NativeAddon } from 'snapsafe/native'
import type { KernelRandom } from 'snapsafe/protocol'

/** A VMM's virtio-rng answers in well under this; a guest without one must not wait longer for its next generation. */
const hardwareDeadlineMs = 250
/** What is asked of each generator: twice the 32 bytes of the kernel's ChaCha key. */
const seedBytes = 64
/** No more credit than a full key: kernels before 5.18 reseed only from a pool that was credited with at least 128 bits. */
const creditBits = 256

export interface KernelRandomDoor {
  /**
   * Mixes bytes that no other copy of this machine has into the kernel's pool and forces the reseed, so that what the
   * kernel gives out from now on is this copy's own. Never rejects: what could not be done is in `kernelRandom` and `detail`.
   */
  makeUnique(): Promise<{ kernelRandom: KernelRandom; detail: string }>
  /**
   * Mixes bytes of the host, which no other copy gets, into the kernel's pool, and overwrites them here. They prove something
   * for the next `makeUnique`, unless `forgetSeed` comes before. Never throws.
   */
  addSeed(seed: Uint8Array): void
  /** There are bytes of the host that no reseed has taken up. */
  readonly hasSeed: boolean
  /** What was given was for a restore that is past, or was none. */
  forgetSeed(): void
  /** 16 bytes of the kernel, as 32 hexadecimal digits; never from this process's own generator, which clones share. */
  drawId(): string
  close(): void
}

/** The door to the kernel's generator. With `enabled` false it is only drawn from: it is not this daemon's to change. */
export function kernelRandomDoor(
  addon: NativeAddon,
  enabled: boolean,
  hardwareGenerator = '/dev/hwrng',
): KernelRandomDoor {
  // Open from the start: a daemon that has used up its descriptors must still be able to do this.
  const fd = openSync('/dev/urandom', enabled ? constants.O_RDWR : constants.O_RDONLY)

  /** The host has given bytes that are in the pool, and no reseed has taken them up yet. */
  let seeded = false

  /** One read at a time: a generator that never answers holds one thread of the pool, not one for each generation. */
  let reading: Promise<Buffer | undefined> | undefined

  /** Bytes of /dev/hwrng (virtio-rng in a guest), or undefined where there is none or it does not answer in time. */
  async function readHardwareGenerator(): Promise<Buffer | undefined> {
    reading ??= readOnce(hardwareGenerator)
      .catch(() => undefined)
      .finally(() => {
        reading = undefined
      })
    const answered = new AbortController()
    try {
      return await Promise.race([reading, delay(hardwareDeadlineMs, undefined, { signal: answered.signal })])
    } finally {
      answered.abort()
    }
  }

  return {
    async makeUnique() {
      if (!enabled) {
        return { kernelRandom: 'off', detail: 'kernel_random is off: the kernel was not made to reseed' }
      }
      const cpu = addon.cpuRandom(seedBytes)
      const hardware = await readHardwareGenerator()
      const unique = Buffer.concat([cpu ?? Buffer.alloc(0), hardware ?? Buffer.alloc(0)])
      try {
        reseed(addon, fd, unique)
      } catch (error) {
        return { kernelRandom: 'failed', detail: `cannot reseed the kernel: ${(error as Error).message}` }
      }
      const wasSeeded = seeded
      seeded = false
      if (unique.length === 0 && !wasSeeded) {
        return {
          kernelRandom: 'unproven',
          detail:
            'neither a CPU generator nor /dev/hwrng: nothing that is unique to this copy could be mixed in',
        }
      }
      const from = [cpu && 'the CPU generator', hardware && '/dev/hwrng', wasSeeded && 'the host']
        .filter(Boolean)
        .join(' and ')
      return { kernelRandom: 'snapsafe', detail: `mixed in bytes of ${from}` }
    },
    addSeed(seed) {
      if (enabled) {
        try {
          addon.addKernelEntropy(fd, seed, Math.min(creditBits, seed.length * 8))
          seeded = true
        } catch {
          // The reseed itself fails for the same reason, and says so.
        }
      }
      seed.fill(0)
    },
    get hasSeed() {
      return seeded
    },
    forgetSeed() {
      seeded = false
    },
    drawId: () => drawId(fd),
    close: () => closeSync(fd),
  }
}

function reseed(addon: NativeAddon, fd: number, unique: Uint8Array): void {
  // The times differ between copies that run on; they are worth mixing in, and worth no credit.
  const times = Buffer.from(`${process.hrtime.bigint()} ${Date.now()} ${addon.bootTimeNs()}`)
  addon.addKernelEntropy(fd, times, 0)
  if (unique.length > 0) addon.addKernelEntropy(fd, unique, Math.min(creditBits, unique.length * 8))
  addon.reseedKernelRandom(fd)
}

async function readOnce(path: string): Promise<Buffer | undefined> {
  const file = await open(path, 'r')
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(seedBytes), 0, seedBytes, null)
    return bytesRead > 0 ? buffer.subarray(0, bytesRead) : undefined
  } finally {
    await file.close()
  }
}

function drawId(fd: number): string {
  const id = Buffer.alloc(16)
  if (readSync(fd, id) !== id.length) throw new Error('/dev/urandom gave fewer than 16 bytes')
  return id.toString('hex')
}
