import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { generateKey, importKey, type KeyKind } from '@parley/jose'
import { expect, test } from 'vitest'
import { backends } from './setup.ts'

// Exporting a key that node:crypto has just made as JWK stops Node 20 for ever, after some thousands or none: a garbage
// collection inside the export waits for what the export holds. Here keys are octets from Random, imported, and the one
// export is of such a key; this shows that nothing makes or exports them otherwise, and the long form makes a great many.

const isLong = process.env['PARLEY_SOAK'] !== undefined
const root = join(import.meta.dirname, '../../..')
const sources = ['packages', 'apps', 'protocols'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.tsx?$/.test(file) && !/(?:^|\/)(?:node_modules|dist|test)\//.test(file))
    .map((file) => join(root, folder, file)),
)

test('no source makes a key with node:crypto, or exports as JWK one that it did not import just before', () => {
  expect(sources.length).toBeGreaterThan(100)
  const forbidden = /\bgenerateKeyPair(?:Sync)?\b|\bgenerateKeySync\b|\bexportKey\(|\.generateKeys\(/
  const fromNode = /import\s*\{[^}]*\bgenerateKey\b[^}]*\}\s*from\s*'node:crypto'/
  const offences = sources.filter((file) => {
    const text = readFileSync(file, 'utf8')
    return forbidden.test(text) || fromNode.test(text)
  })
  expect(offences).toEqual([])
  const exporting = sources.flatMap((file) => [...readFileSync(file, 'utf8').matchAll(/.*\n.*\.export\(\s*\{[^}]*jwk.*/g)])
  expect(exporting.filter(([lines]) => !/^ *const key = okpPrivate\('X25519', privateKey, zeros\)\n/.test(lines))).toEqual([])
})

test('keys of every kind are made, prepared and named without end', () => {
  const random = { bytes: (length: number) => crypto.getRandomValues(new Uint8Array(length)) }
  const kinds: readonly KeyKind[] = ['X25519', 'Ed25519', 'P-256', 'P-384', 'P-521', 'secp256k1', 'oct-256']
  const rounds = isLong ? 100_000 / kinds.length : 100
  const seen = new Set<string>()
  for (const backend of backends) {
    // noble takes a hundred times as long, and has no such trap.
    const count = backend.name === 'node' ? rounds : rounds / 100
    for (let i = 0; i < count; i++) {
      for (const kind of kinds) {
        const jwk = generateKey(kind, { random, backend })
        seen.add(importKey(jwk, { backend }).thumbprint ?? jwk.k ?? '')
      }
    }
  }
  // The kind whose public key is exported.
  const more = isLong ? 300_000 : 0
  for (let i = 0; i < more; i++) seen.add(generateKey('X25519', { random }).kid ?? '')
  const made = more + kinds.length * (Math.ceil(rounds) + Math.ceil(rounds / 100))
  expect(seen.size).toBe(made)
  if (isLong) console.log(`fresh keys: ${made} made, all different`)
})
