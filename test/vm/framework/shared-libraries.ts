import { runCommand } from './run-command.ts'

/** The absolute paths of the shared libraries of a program, its dynamic linker among them, as ldd(1) finds them. */
export async function sharedLibraries(program: string): Promise<string[]> {
  return parseLdd((await runCommand('ldd', [program])).toString('utf8'))
}

/** Reads ldd's lines: `name => /path (0x…)`, and `/path (0x…)` for the linker. Throws if a library was not found. */
export function parseLdd(text: string): string[] {
  const missing = /^\s*(\S+) => not found/m.exec(text)?.[1]
  if (missing)
    throw new Error(`ldd does not find ${missing}: the program does not run on this machine either`)
  return [...text.matchAll(/(?:^|=>)\s*(\/\S+) \(0x/gm)].map(([, path = '']) => path)
}
