/**
 * What stops a command of `parley-relay`, said to the person who called it.
 * @module
 */

export type ProgramErrorCode =
  | 'usage'
  | 'not-running'
  | 'running'
  | 'target-not-empty'
  | 'store-empty'
  | 'backup-damaged'
  | 'not-a-backup'
  | 'not-found'
  | 'refused'

/** A command could not do what it was asked for. */
export class ProgramError extends Error {
  override readonly name = 'ProgramError'
  readonly code: ProgramErrorCode

  constructor(code: ProgramErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
