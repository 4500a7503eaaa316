/**
 * The log: pino, one JSON object a line on standard error, without content. Whatever names a person, a device or a network address
 * is hashed under a salt of this installation, unless the operator asks for it as it is: lines of one of them can be told together,
 * nobody can be told from them.
 * @module
 */
import { createHmac } from 'node:crypto'
import type { Telemetry } from '@parley/core'
import { type DestinationStream, type Logger, pino } from 'pino'
import type { LogLevel } from './config.ts'

type Fields = Readonly<Record<string, string | number | boolean>>

export type RelayLog = {
  readonly log: Logger
  /** An event with its fields, those that name somebody hashed. */
  event: Telemetry['event']
  /** A text that names somebody, as the log shows it. */
  hidden(name: string): string
  set(options: { readonly level: LogLevel; readonly logAddresses: boolean }): void
}

export type LogOptions = {
  readonly level: LogLevel
  readonly logAddresses: boolean
  /** Kept in the data folder, so that a name has one hash here and another one elsewhere. */
  readonly salt: Uint8Array
  readonly destination: DestinationStream
}

const naming = new Set(['address', 'account', 'device', 'from', 'to', 'peer', 'name', 'reader', 'blocked'])

export function createLog(options: LogOptions): RelayLog {
  const log = pino({ level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, options.destination)
  let { logAddresses } = options

  function hidden(name: string): string {
    if (logAddresses) return name
    return `#${createHmac('sha256', options.salt).update(name).digest('base64url').slice(0, 12)}`
  }

  function shown(fields: Fields): Fields {
    return Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [
        name,
        naming.has(name) && typeof value === 'string' ? hidden(value) : value,
      ]),
    )
  }

  return {
    log,
    event: (name, fields = {}) => log.info(shown(fields), name),
    hidden,
    set(next) {
      log.level = next.level
      logAddresses = next.logAddresses
    },
  }
}
