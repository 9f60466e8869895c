/** What an archive can hold. Everything belongs to root and has the time 0, so that equal content gives equal bytes. */
export type CpioEntry =
  | { kind: 'folder'; path: string; mode?: number }
  | { kind: 'file'; path: string; mode?: number; data: Buffer }
  | { kind: 'link'; path: string; target: string }
  | { kind: 'device'; path: string; mode?: number; major: number; minor: number }

/** File types of `st_mode`, inode(7). */
const typeBits = { folder: 0o040000, file: 0o100000, link: 0o120000, device: 0o020000 } as const
const defaultMode = { folder: 0o755, file: 0o644, link: 0o777, device: 0o600 } as const
const trailerName = 'TRAILER!!!'
/** Headers with names, and data, are each padded to this. */
const alignBytes = 4
/** The kernel takes archives one after another if each ends on such a border. */
const archiveAlignBytes = 512

/**
 * Writes a cpio archive in the `newc` format that the kernel unpacks as its initramfs
 * (Documentation/driver-api/early-userspace/buffer-format.rst), in pieces. Paths are relative to the root; a folder must
 * come before what is in it. Archives may be concatenated; in the later one the same path replaces the earlier.
 */
export function* cpioArchive(entries: Iterable<CpioEntry>): Generator<Buffer> {
  let bytes = 0
  let inode = 0
  const count = (piece: Buffer): Buffer => {
    bytes += piece.length
    return piece
  }
  for (const entry of entries) {
    const data = entry.kind === 'file' ? entry.data : Buffer.from(entry.kind === 'link' ? entry.target : '')
    const mode =
      typeBits[entry.kind] | (('mode' in entry ? entry.mode : undefined) ?? defaultMode[entry.kind])
    const device = entry.kind === 'device' ? entry : { major: 0, minor: 0 }
    yield count(header(entry.path, { inode: ++inode, mode, size: data.length, ...device }))
    yield count(data)
    yield count(padding(data.length, alignBytes))
  }
  yield count(header(trailerName, { inode: 0, mode: 0, size: 0, major: 0, minor: 0 }))
  yield padding(bytes, archiveAlignBytes)
}

interface HeaderFields {
  inode: number
  mode: number
  size: number
  major: number
  minor: number
}

function header(path: string, { inode, mode, size, major, minor }: HeaderFields): Buffer {
  const name = Buffer.from(`${path}\0`)
  const links = 1
  // c_ino c_mode c_uid c_gid c_nlink c_mtime c_filesize c_devmajor c_devminor c_rdevmajor c_rdevminor c_namesize c_check
  const numbers = [inode, mode, 0, 0, links, 0, size, 0, 0, major, minor, name.length, 0]
  const text = `070701${numbers.map((number) => number.toString(16).toUpperCase().padStart(8, '0')).join('')}`
  const head = Buffer.concat([Buffer.from(text), name])
  return Buffer.concat([head, padding(head.length, alignBytes)])
}

function padding(bytes: number, align: number): Buffer {
  return Buffer.alloc((align - (bytes % align)) % align)
}
