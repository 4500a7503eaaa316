/**
 * What changes while a relay runs: the configuration read anew beside the one it was started with.
 * @module
 */
import type { Origin } from './config.ts'
import { settings } from './settings.ts'

export type Changes = {
  /** Taken over at once. */
  readonly changed: readonly string[]
  /** Wait for a restart. */
  readonly restart: readonly string[]
}

/** Compares by what is shown of each setting. */
export function changesBetween(before: readonly Origin[], after: readonly Origin[]): Changes {
  const shown = (origins: readonly Origin[]): ReadonlyMap<string, string> =>
    new Map(origins.map(({ name, value }) => [name, JSON.stringify(value) ?? '']))
  const old = shown(before)
  const next = shown(after)
  const names = [...new Set([...old.keys(), ...next.keys()])].filter((name) => old.get(name) !== next.get(name))
  return { changed: names.filter(reloads), restart: names.filter((name) => !reloads(name)) }
}

function reloads(name: string): boolean {
  return settings.find((setting) => setting.name === name.split('.')[0])?.reloads ?? false
}
