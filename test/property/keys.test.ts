import { utf8 } from '@parley/core'
import { createSimRandom } from '@parley/core/sim'
import {
  type Backend,
  curves,
  generateKey,
  type Jwk,
  type KeyKind,
  backend as node,
  publicJwk,
  readCompactJws,
  readJwkSet,
  readKey,
  signatureAlgorithms,
  signCompact,
  thumbprint,
  verifyJws,
} from '@parley/jose'
import { noble } from '@parley/jose/noble'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { check, summary } from './check.ts'

afterAll(() => console.log(summary('keys')))

const random = createSimRandom('key properties')
const kinds: readonly KeyKind[] = ['Ed25519', 'X25519', 'P-256', 'P-384', 'P-521', 'secp256k1', 'oct-256']
const whole = kinds.map((kind) => generateKey(kind, { random }))
const jwks: readonly Jwk[] = [...whole, ...whole.filter(({ kty }) => kty !== 'oct').map(publicJwk)]
const codes = ['key-malformed', 'key-unsupported', 'key-unavailable']

const names = fc.constantFrom('kty', 'crv', 'x', 'y', 'd', 'k', 'n', 'e', 'p', 'alg', 'use', 'key_ops', 'kid', '__proto__')
const texts = [
  ...whole.flatMap(({ x, y, d }) => [x, y, d]),
  'OKP',
  'EC',
  'oct',
  'RSA',
  'AKP',
  'P-256',
  'X25519',
  'Ed25519',
  'sig',
  'enc',
  'ES256',
  'dir',
  '',
]
const values = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...texts.filter((text) => text !== undefined)) },
  fc.constantFrom<unknown>(null, 1, true, [], {}, ['sign'], ['verify', 'verify'], ['sign', 'verify'], 'AA=='),
  fc.uint8Array({ maxLength: 67 }).map((octets) => Buffer.from(octets).toString('base64url')),
)
const changed = fc
  .tuple(fc.constantFrom(...jwks), fc.array(fc.tuple(names, fc.option(values, { nil: undefined })), { maxLength: 3 }))
  .map(
    ([jwk, changes]) =>
      // Through JSON, as a hostile key comes: what is undefined is absent then.
      JSON.parse(JSON.stringify(Object.fromEntries([...Object.entries(jwk), ...changes]))) as unknown,
  )

describe.each([node, noble].map((backend) => [backend.name, backend] as const))(
  'a JWK of any making, with the %s backend',
  (_, backend: Backend) => {
    it('is a sound key or has a code', () => {
      const seen = { taken: 0, refused: 0 }
      check(
        fc.property(fc.oneof({ weight: 9, arbitrary: changed }, fc.jsonValue()), (value) => {
          const read = readKey(value, { backend })
          seen[read.ok ? 'taken' : 'refused']++
          if (!read.ok) {
            expect(codes).toContain(read.code)
            return
          }
          const { key } = read
          // What was taken is what it says it is, in its length and its name.
          expect(key.kty).toBe((value as Jwk).kty)
          if (key.publicJwk === undefined) return
          expect(key.thumbprint).toBe(thumbprint(key.publicJwk))
          const bytes = curves.get(key.crv ?? '')?.coordinateBytes
          expect(Buffer.from(key.publicJwk.x ?? '', 'base64url')).toHaveLength(bytes ?? -1)
          for (const secret of ['d', 'k'] as const) expect(key.publicJwk).not.toHaveProperty(secret)
          const isSigner =
            key.secret &&
            [...signatureAlgorithms.values()].some(
              ({ crv, kty, alg }) => kty === key.kty && crv === key.crv && (key.alg ?? alg) === alg,
            )
          if (!isSigner || (key.use ?? 'sig') !== 'sig' || key.keyOps !== undefined) return
          const signed = readCompactJws(signCompact(utf8('x'), { key }))
          const shown = readKey(publicJwk(value as Jwk), { backend })
          if (!signed.ok || !shown.ok) throw new Error('what signs is read back')
          expect(verifyJws(signed.jws, { keys: [shown.key] }).ok).toBe(true)
        }),
        backend.name === 'node' ? 1500 : 300,
      )
      expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(30)
    })

    it('does no harm in a set', () => {
      check(
        fc.property(fc.array(fc.oneof(changed, fc.jsonValue()), { maxLength: 5 }), (keys) => {
          const set = readJwkSet(JSON.stringify({ keys }), { backend })
          const alone = keys.map((value) => readKey(value, { backend }).ok)
          if (set.ok) expect(set.keys).toHaveLength(alone.filter(Boolean).length)
          else expect(alone).not.toContain(true)
        }),
        backend.name === 'node' ? 300 : 60,
      )
    })
  },
)
