/**
 * What stops a command of `parley-relay`, said to the person who called it.
 * @module
 */

const codes = [
  'usage',
  'not-running',
  'running',
  'target-not-empty',
  'store-empty',
  'backup-damaged',
  'not-a-backup',
  'not-found',
  'refused',
] as const

export type ProgramErrorCode = (typeof codes)[number]

/** Tells whether a running relay has answered with one of these. */
export function isProgramErrorCode(text: string): text is ProgramErrorCode {
  return (codes as readonly string[]).includes(text)
}

/** A command could not do what it was asked for. */
export class ProgramError extends Error {
  override readonly name = 'ProgramError'
  readonly code: ProgramErrorCode

  constructor(code: ProgramErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
