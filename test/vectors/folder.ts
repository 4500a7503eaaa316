/**
 * Where vectors lie. The shared ones are at $PARLEY_VECTORS, else beside the repository, and no part of it; examples
 * printed in RFCs are fixtures of our own.
 * @module
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
const folder = process.env['PARLEY_VECTORS'] ?? resolve(root, '../shared/vectors')

/** The parsed JSON files below one of its folders by name; absent, a skipped test says so by name. */
export function vectors(name: string): ReadonlyMap<string, unknown> {
  const path = join(folder, name)
  if (!existsSync(path)) {
    test.skip(`${name}: the shared vectors are not at ${folder}`)
    return new Map()
  }
  const files = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.json'))
  return new Map(files.sort().map((file) => [file, JSON.parse(readFileSync(join(path, file), 'utf8')) as unknown]))
}

/** An example of our own, with its origin inside. */
export function fixture<T>(name: string): T {
  // Whoever asks knows the form of the file.
  return JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures', name), 'utf8')) as T
}
