/**
 * Coded errors. Callers switch on `code`, which is stable for ever and described in docs/errors.md;
 * the message is for people and holds no keys, no content and no identifiers.
 * @module
 */

const brand = Symbol.for('parley.MessagingError')

export type MessagingErrorOptions = { readonly cause?: unknown; readonly retryable?: boolean }

/** The base of every error that a Parley package throws on purpose. Each package has one subclass with its own codes. */
export class MessagingError<Code extends string = string> extends Error {
  readonly code: Code
  /** True when the same call may succeed later without a change by the caller. */
  readonly retryable: boolean

  constructor(code: Code, message: string, options: MessagingErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'MessagingError'
    this.code = code
    this.retryable = options.retryable ?? false
    Object.defineProperty(this, brand, { value: true })
  }

  /** Where Parley's documentation explains the code. */
  get help(): string {
    return `docs/errors.md#${this.code.toLowerCase()}`
  }
}

/** Tells whether `error` is a coded error, also across two copies of this package. */
export function isMessagingError(error: unknown): error is MessagingError {
  return typeof error === 'object' && error !== null && brand in error
}

export type CoreErrorCode =
  | 'ERR_CORE_ASSERTION'
  | 'ERR_CORE_ADDRESS_MALFORMED'
  | 'ERR_CORE_ID_MALFORMED'
  | 'ERR_CORE_STORE_CLOSED'
  | 'ERR_CORE_STORE_FAILED'
  | 'ERR_CORE_STORE_FULL'
  | 'ERR_CORE_STORE_LOCKED'
  | 'ERR_CORE_STORE_CORRUPT'
  | 'ERR_CORE_DIAL_FAILED'
  | 'ERR_CORE_LISTEN_FAILED'
  | 'ERR_CORE_REQUEST_FAILED'

/** What goes wrong in the ports and parsers of this package. */
export class CoreError extends MessagingError<CoreErrorCode> {
  override readonly name = 'CoreError'
}

/** Stops on what only a bug can break. It stays on in production. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new CoreError('ERR_CORE_ASSERTION', message)
}

/** The outcome of a decoder: hostile input is a value, never an exception. */
export type Result<T, Code extends string = string> = ({ readonly ok: true } & T) | { readonly ok: false; readonly code: Code }
