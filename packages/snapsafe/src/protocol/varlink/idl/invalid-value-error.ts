/** A value is not of the declared type. `path` leads to it, such as `parameters.watchers[2].name`. */
export class InvalidValueError extends Error {
  override readonly name = 'InvalidValueError'
  readonly code = 'ERR_SNAPSAFE_VARLINK_INVALID_VALUE'
  readonly path: string

  constructor(path: string, problem: string) {
    super(`${path}: ${problem}`)
    this.path = path
  }
}
