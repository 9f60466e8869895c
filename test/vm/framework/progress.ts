/** Takes one line about what is going on ("fetching qemu-system-x86 from trixie"). */
export type Progress = (line: string) => void

/** The default: says nothing. */
export const silent: Progress = () => {}
