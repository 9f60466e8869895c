import { mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { chooseDebianMirror, debianMirror, parseDeb822Sources, parseListSources } from './apt-sources.ts'
import { closureArguments, parseDependencies, sourcesList } from './apt-world.ts'
import { cachedEntry, cacheFolder } from './cache.ts'
import { type CpioEntry, cpioArchive } from './cpio.ts'
import { bookwormBackports, trixie } from './debian-suite.ts'
import { readFileTrees } from './file-trees.ts'
import { withFolderLock } from './folder-lock.ts'
import { moduleDependencies } from './kernel-modules.ts'
import { CommandFailedError, runCommand } from './run-command.ts'
import { parseLdd } from './shared-libraries.ts'
import { isNotNeeded } from './systemd-userland.ts'

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'framework-'))
})

afterAll(async () => {
  await rm(folder, { recursive: true })
})

describe('the package sources of the machine', () => {
  const deb822 = `Types: deb deb-src
# a comment
URIs: http://mirror.test/debian
Suites: stable stable-updates
Components: main
 contrib

Types: deb
URIs: http://mirror.test/debian-security
Suites: stable-security
Components: main

Enabled: no
Types: deb
URIs: http://off.test/debian
Suites: stable
Components: main
`

  it('are read in the deb822 style, with continued lines, comments and disabled stanzas', () => {
    expect(parseDeb822Sources(deb822)).toEqual([
      {
        uri: 'http://mirror.test/debian',
        suites: ['stable', 'stable-updates'],
        components: ['main', 'contrib'],
      },
      { uri: 'http://mirror.test/debian-security', suites: ['stable-security'], components: ['main'] },
    ])
  })

  it('are read in the one-line style, with options and comments', () => {
    const text = `# deb http://no.test/debian x main
deb [arch=amd64 signed-by=/k.gpg] https://a.test/debian/ stable main contrib # why
deb-src http://b.test/debian stable main
deb http://c.test/ubuntu noble main`
    expect(parseListSources(text)).toEqual([
      { uri: 'https://a.test/debian/', suites: ['stable'], components: ['main', 'contrib'] },
      { uri: 'http://c.test/ubuntu', suites: ['noble'], components: ['main'] },
    ])
  })

  it('yield the main archive, not the one for security, nor that of another distribution', () => {
    expect(chooseDebianMirror(parseDeb822Sources(deb822))).toBe('http://mirror.test/debian')
    expect(chooseDebianMirror(parseListSources('deb http://c.test/ubuntu noble main'))).toBeUndefined()
  })

  it('are not needed where a mirror is named, and missed clearly where none is', async () => {
    expect(await debianMirror(folder, { SNAPSAFE_VM_DEBIAN_MIRROR: 'http://m.test/debian' })).toBe(
      'http://m.test/debian',
    )
    await expect(debianMirror(folder, {})).rejects.toMatchObject({ code: 'ERR_SNAPSAFE_VM_NO_MIRROR' })
  })
})

describe('fetching packages', () => {
  it('reads each suite of the mirror, signed by the keyring of the machine', () => {
    expect(sourcesList(bookwormBackports, 'http://m.test/debian').split('\n')).toEqual([
      'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://m.test/debian bookworm main',
      'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://m.test/debian bookworm-backports main',
      '',
    ])
  })

  it('downloads a closure and installs nothing', () => {
    const args = closureArguments(trixie, ['a', 'b'], '/d')
    expect(args).toContain('--download-only')
    expect(args.slice(-4)).toEqual(['-o', 'Dir::Cache::archives=/d', 'a', 'b'])
    expect(closureArguments(bookwormBackports, ['a'], '/d').slice(-3)).toEqual([
      '-t',
      'bookworm-backports',
      'a',
    ])
  })

  it('knows what a meta package stands for', () => {
    const stanza =
      'Package: x\nDepends: linux-image-7 (= 7-1), initramfs-tools | dracut, libc6:any\nVersion: 1\n'
    expect(parseDependencies(stanza)).toEqual(['linux-image-7', 'initramfs-tools', 'libc6'])
    expect(parseDependencies('Package: x\n')).toEqual([])
  })
})

describe('the cache', () => {
  it('lies where the environment says', () => {
    expect(cacheFolder({ SNAPSAFE_VM_CACHE: '/c', XDG_CACHE_HOME: '/x' })).toBe('/c')
    expect(cacheFolder({ XDG_CACHE_HOME: '/x' })).toBe('/x/snapsafe/vm')
  })

  it('builds an entry once for several who ask at the same time', async () => {
    let builds = 0
    const ask = () =>
      cachedEntry(join(folder, 'once'), async (path) => {
        builds += 1
        await sleep(50)
        await writeFile(path, 'whole')
      })
    const paths = await Promise.all([ask(), ask(), ask()])
    expect(builds).toBe(1)
    expect(await readFile(paths[2] ?? '', 'utf8')).toBe('whole')
  })

  it('leaves nothing of a build that failed, and builds again', async () => {
    const path = join(folder, 'retried')
    const fail = cachedEntry(path, async (temporary) => {
      await writeFile(temporary, 'half')
      throw new Error('no space')
    })
    await expect(fail).rejects.toThrow('no space')
    expect(
      await readFile(await cachedEntry(path, (temporary) => writeFile(temporary, 'whole')), 'utf8'),
    ).toBe('whole')
  })

  it('takes over the lock of a process that has died', async () => {
    const path = join(folder, 'dead.lock')
    await mkdir(path)
    const longAgo = new Date(Date.now() - 60_000)
    await utimes(path, longAgo, longAgo)
    expect(await withFolderLock(path, async () => 'mine')).toBe('mine')
  })
})

describe('the initramfs', () => {
  const entries: CpioEntry[] = [
    { kind: 'folder', path: 'a' },
    { kind: 'file', path: 'a/b', mode: 0o755, data: Buffer.from('hello') },
    { kind: 'link', path: 'l', target: 'a/b' },
    { kind: 'device', path: 'c', major: 5, minor: 1 },
  ]

  it('is a newc archive: magic, 13 numbers in hex, name, data, each padded to four bytes', () => {
    const [head = Buffer.alloc(0), data, pad] = [...cpioArchive(entries.slice(1, 2))]
    expect(head.toString('latin1')).toBe(
      '070701' +
        '00000001' +
        '000081ED' +
        '00000000' +
        '00000000' +
        '00000001' +
        '00000000' +
        '00000005' +
        '00000000' +
        '00000000' +
        '00000000' +
        '00000000' +
        '00000004' +
        '00000000' +
        'a/b\0\0\0',
    )
    expect([data?.toString(), pad?.length]).toEqual(['hello', 3])
  })

  it('ends on a border, so that another archive can follow', () => {
    const bytes = Buffer.concat([...cpioArchive(entries)])
    expect(bytes.length % 512).toBe(0)
    expect(bytes.includes('TRAILER!!!')).toBe(true)
  })

  it('has the same bytes for the same content', () => {
    expect(Buffer.concat([...cpioArchive(entries)])).toEqual(Buffer.concat([...cpioArchive(entries)]))
  })

  it('takes trees of files: folders first, links as links, what is excluded left out', async () => {
    const tree = join(folder, 'tree')
    await mkdir(join(tree, 'sub'), { recursive: true })
    await mkdir(join(tree, 'skip'))
    await writeFile(join(tree, 'sub', 'f'), 'x', { mode: 0o750 })
    await symlink('sub/f', join(tree, 'link'))
    const read = await readFileTrees([{ from: tree, to: '/opt/app', exclude: (path) => path === 'skip' }])
    expect(read.map(({ kind, path }) => `${kind} ${path}`)).toEqual([
      'folder opt',
      'folder opt/app',
      'link opt/app/link',
      'folder opt/app/sub',
      'file opt/app/sub/f',
    ])
    expect(read.at(-1)).toMatchObject({ mode: 0o750, data: Buffer.from('x') })
  })

  it('takes links and texts, and a tree for the root without the root', async () => {
    const tree = join(folder, 'root')
    await mkdir(join(tree, 'etc'), { recursive: true })
    const read = await readFileTrees([
      { from: tree, to: '/' },
      { target: '../lib/x', to: '/usr/bin/x' },
      { text: 'y', to: '/etc/y' },
    ])
    expect(read).toMatchObject([
      { kind: 'folder', path: 'etc' },
      { kind: 'folder', path: 'usr' },
      { kind: 'folder', path: 'usr/bin' },
      { kind: 'link', path: 'usr/bin/x', target: '../lib/x' },
      { kind: 'folder', path: 'etc' },
      { kind: 'file', path: 'etc/y', data: Buffer.from('y') },
    ])
  })

  it('leaves out of the packages for systemd what no test needs, and starts only what one does', () => {
    const taken = [
      'usr/lib/systemd/system/sysinit.target.wants/systemd-sysusers.service',
      'usr/lib/systemd/system/getty@.service',
      'usr/share/nodejs/undici',
      'usr/share/dbus-1',
    ]
    const left = [
      'usr/lib/systemd/system/sysinit.target.wants/ldconfig.service',
      'usr/share/nodejs/corepack',
      'usr/share/doc',
      'usr/lib/systemd/system-generators',
    ]
    expect([...taken, ...left].filter(isNotNeeded)).toEqual(left)
  })

  it('finds libraries and the linker, and says which library is missing', () => {
    const text = '\tlinux-vdso.so.1 (0x1)\n\tlibm.so.6 => /lib/libm.so.6 (0x2)\n\t/lib64/ld.so (0x3)\n'
    expect(parseLdd(text)).toEqual(['/lib/libm.so.6', '/lib64/ld.so'])
    expect(() => parseLdd('\tlibx.so => not found\n')).toThrow('libx.so')
  })

  it('reads what a module depends on', () => {
    expect(moduleDependencies(Buffer.from('x\0license=GPL\0depends=a,b_c\0name=x\0'))).toEqual(['a', 'b_c'])
    expect(moduleDependencies(Buffer.from('\0depends=\0'))).toEqual([])
  })
})

describe('a command of the machine', () => {
  it('gives its output, or an error with what it wrote', async () => {
    expect((await runCommand('echo', ['hi'])).toString()).toBe('hi\n')
    const failed = runCommand('sh', ['-c', 'echo why >&2; exit 3'])
    await expect(failed).rejects.toBeInstanceOf(CommandFailedError)
    await expect(failed).rejects.toThrow('ended with 3: why')
  })

  it('is killed at its deadline', async () => {
    await expect(runCommand('sleep', ['10'], { timeoutMs: 50 })).rejects.toThrow('was killed')
  })
})
