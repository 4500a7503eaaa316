/**
 * What changes while a relay runs: the configuration read anew beside the one it was started with.
 * @module
 */
import { limitsOfTheStart } from '@parley/relay'
import type { Origin } from './config.ts'
import { settings } from './settings.ts'

export type Changes = {
  /** Taken over at once. */
  readonly changed: readonly string[]
  /** Wait for a restart. */
  readonly restart: readonly string[]
}

/** Compares what is shown of each setting: with what is in force, and for what cannot change with what the relay was started with. */
export function changesBetween(
  before: { readonly started: readonly Origin[]; readonly current: readonly Origin[] },
  after: readonly Origin[],
): Changes {
  const isSecure = (origins: readonly Origin[]): boolean =>
    origins.some(({ name, value }) => name === 'tlsCert' && value !== undefined)
  // From plain to TLS or back is another listener.
  const isSameListener = isSecure(before.started) === isSecure(after)
  const isTaken = (name: string): boolean => reloads(name) && (isSameListener || !name.startsWith('tls'))
  return {
    changed: differing(before.current, after).filter(isTaken),
    restart: differing(before.started, after).filter((name) => !isTaken(name)),
  }
}

function differing(before: readonly Origin[], after: readonly Origin[]): readonly string[] {
  const shown = (origins: readonly Origin[]): ReadonlyMap<string, string> =>
    new Map(origins.map(({ name, value }) => [name, JSON.stringify(value) ?? '']))
  const old = shown(before)
  const next = shown(after)
  return [...new Set([...old.keys(), ...next.keys()])].filter((name) => old.get(name) !== next.get(name))
}

function reloads(name: string): boolean {
  const [first, limit = ''] = name.split('.')
  if (first === 'limits') return !(limitsOfTheStart as readonly string[]).includes(limit)
  return settings.find((setting) => setting.name === first)?.reloads ?? false
}
