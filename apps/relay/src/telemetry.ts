/**
 * Telemetry on pino, to standard error. Nothing in it names an address, and nothing is sent anywhere.
 * @module
 */
import type { Telemetry } from '@parley/core'
import { type DestinationStream, type Logger, pino } from 'pino'
import type { LogLevel } from './config.ts'

export type RelayLog = { readonly log: Logger; readonly telemetry: Telemetry; totals(): Readonly<Record<string, number>> }

/** Events are logged as they come, counts are summed up and logged with `debug`. */
export function createLog(options: { readonly level: LogLevel; readonly destination: DestinationStream }): RelayLog {
  const log = pino({ level: options.level, base: null }, options.destination)
  const counts = new Map<string, number>()
  return {
    log,
    telemetry: {
      event: (name, fields) => log.info(fields ?? {}, name),
      count(name, by = 1) {
        counts.set(name, (counts.get(name) ?? 0) + by)
        log.debug({ by }, name)
      },
      measure() {},
    },
    totals: () => Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1))),
  }
}
