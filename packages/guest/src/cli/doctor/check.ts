/** ok: works. warning: works, but not as well as it could. failed: does not work. unknown: cannot be told from here. */
type Verdict = 'ok' | 'warning' | 'failed' | 'unknown'

/** What one look found. Stable: `--json` prints it. */
export interface Finding {
  /** Short and stable, for scripts. */
  readonly check: string
  readonly verdict: Verdict
  /** What was found, and why that matters. */
  readonly found: string
  /** What to do about it. */
  readonly advice?: string
}
