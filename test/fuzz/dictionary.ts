/**
 * Values that attacks are made of, by the name of the header member they stand in.
 * @module
 */
import type { SimRandom } from '@parley/core/sim'
import { contentAlgorithms, keyManagementAlgorithms, signatureAlgorithms } from '@parley/jose'
import { type Tree, toTree } from './tree.ts'

const zeros = (characters: number): string => 'A'.repeat(characters)
const algorithms = [...signatureAlgorithms.keys(), ...keyManagementAlgorithms.keys()]
const strange: readonly unknown[] = [null, true, 0, -1, 1.5, '', 'x', [], {}, [[]], 'ä', '\u0000']

/** X25519 points of small order, points on no curve, keys of another kind, with a private part, cut short, too long. */
const ephemeralKeys: readonly unknown[] = [
  ...[
    zeros(43),
    `AQ${zeros(41)}`,
    '4Ot6fDtBuK4WVuP68Z_EatoJjeucMrH9hmIFFl9JuAA',
    `7P${'_'.repeat(39)}3`,
    `7P${'_'.repeat(39)}_3`,
  ].map((x) => ({ kty: 'OKP', crv: 'X25519', x })),
  { kty: 'OKP', crv: 'X25519', x: zeros(42) },
  { kty: 'OKP', crv: 'X25519', x: zeros(44) },
  { kty: 'OKP', crv: 'X25519', x: `CQ${zeros(41)}`, d: `CQ${zeros(41)}` },
  { kty: 'OKP', crv: 'X25519', x: `CQ${zeros(41)}`, y: zeros(43) },
  { kty: 'OKP', crv: 'Ed25519', x: `CQ${zeros(41)}` },
  { kty: 'EC', crv: 'P-256', x: zeros(43), y: zeros(43) },
  { kty: 'EC', crv: 'P-256', x: zeros(42), y: zeros(44) },
  { kty: 'EC', crv: 'P-256', x: zeros(43) },
  { kty: 'EC', crv: 'P-384', x: zeros(64), y: zeros(64) },
  { kty: 'EC', crv: 'P-521', x: zeros(88), y: zeros(88) },
  // The generator of P-256: a sound point whose secret key is 1.
  {
    kty: 'EC',
    crv: 'P-256',
    x: 'axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY',
    y: 'T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU',
  },
  { kty: 'EC', crv: '__proto__', x: '', y: '' },
]

const named: { readonly [name: string]: readonly unknown[] } = {
  alg: [...algorithms, 'none', 'None', 'NONE', 'nOnE', 'HS256 ', 'hs256', 'RSA1_5', 'ECDH-1PU', 'toString', '__proto__'],
  enc: [...contentAlgorithms.keys(), 'a256gcm', 'A256GCM ', 'A512GCM', 'constructor'],
  kid: ['enc-X25519', 'enc-P-256', 'enc-oct-32', 'enc-oct-16', 'sig-Ed25519', 'sig-P-256', 'sig-oct', 'rsa', '../../etc/passwd'],
  epk: ephemeralKeys,
  crit: [[], ['b64'], ['b64', 'b64'], ['exp'], ['alg'], 'b64', [1], ['__proto__'], {}],
  b64: [true, false, 'false', 0],
  zip: ['DEF', 'def', 'GZ', ['DEF']],
  p2c: [0, -1, 1, 999, 1000, 1001, 19_999, 1e6, 1e9, 2 ** 31, 2 ** 32, 2 ** 53, 1e308, 1000.5, '1000'],
  p2s: ['', 'AA', zeros(11), zeros(10), zeros(4000), 'A+/='],
  iv: [zeros(16), zeros(22), zeros(32), 'AAAAAA', zeros(15)],
  tag: [zeros(22), zeros(6), zeros(5), zeros(21), zeros(43)],
  ckc: [zeros(43), zeros(42), `${zeros(42)}B`, 'AAAA'],
  cty: ['JWM', 'jwm', 'application/jwm', 'JWT', 'application/JWM; x=1'],
  typ: ['JWM', 'JWT', 'JOSE', 'JOSE+JSON', 'application/jwm'],
  apu: ['QWxpY2U', '', 'A', zeros(4000)],
  apv: ['Qm9i', 'A='],
  jwk: [{ kty: 'oct', k: zeros(43) }, ephemeralKeys[3], { kty: 'OKP', crv: 'Ed25519', x: `AQ${zeros(41)}`, kid: 'sig-Ed25519' }],
  jku: ['https://attacker.example/keys'],
  x5u: ['file:///etc/passwd'],
  x5c: [['MIIB']],
  x5t: [zeros(27)],
}

export const headerNames: readonly string[] = [
  ...Object.keys(named),
  '__proto__',
  'constructor',
  'note',
  'id',
  'type',
  'from',
  '',
]

/** A value for a header member: mostly one that somebody could mean. */
export function valueFor(name: string, random: SimRandom): Tree {
  const known = Object.hasOwn(named, name) ? named[name] : undefined
  return toTree(random.pick(known === undefined || random.chance(0.2) ? strange : known))
}

/** Texts that stand for no JSON value of ours. */
export const oddities: readonly string[] = [
  '1e999',
  '-1e999',
  '-0',
  '9007199254740993',
  `1${'0'.repeat(400)}`,
  '0.1e-400',
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '"\\u0000"',
  '01',
  '+1',
  'NaN',
  'undefined',
  "'x'",
  '{"a":1,"a":2}',
  '[1,]',
  '/**/1',
]

export function odd(random: SimRandom): Tree {
  return { raw: random.pick(oddities) }
}

/** A nest of arrays or objects, `depth` levels deep. */
export function nest(depth: number, random: SimRandom): Tree {
  return {
    raw: random.chance(0.5) ? `${'['.repeat(depth)}${']'.repeat(depth)}` : `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`,
  }
}
