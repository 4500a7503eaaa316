import { utf8 } from '@parley/core'
import { generateKey, importKey, publicJwk, sealJwe } from '@parley/jose'
import { type JwmPolicy, jwmProfiles, readEnvelope, readSigned, sealMessage, writeCut } from '@parley/jwm'
import { expect, it } from 'vitest'
import { read } from './workspace.ts'

const page = read('docs/application-profile.md')
const rows = [...page.matchAll(/^\| ([^|]+) \| ([^|]+) \| ([^|]*) \|$/gm)].map(([, ...cells]) => cells.map((cell) => cell.trim()))
const random = { bytes: (length: number) => crypto.getRandomValues(new Uint8Array(length)) }
const namesIn = (text: string): readonly string[] => [...text.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)

it('says what an application has to specify', () => {
  // RFC 7165 §4.
  const demanded = [
    'Content that is protected',
    'Algorithms',
    'How keys are established',
    'How keys are indicated',
    'Serializations',
  ]
  const said = rows.map(([what]) => what)
  expect(demanded.filter((what) => !said.includes(what))).toEqual([])
})

it('names an API for every kind of object, which is there and documented', () => {
  const exported = JSON.parse(read('test/repo/exports.json')) as Readonly<Record<string, readonly string[]>>
  const known = [...(exported['@parley/jose'] ?? []), ...(exported['@parley/jwm'] ?? [])]
  const table = page.slice(page.indexOf('## Each object'))
  const named = namesIn(table)
  expect(named.length).toBeGreaterThan(20)
  expect(named.filter((name) => !known.includes(name))).toEqual([])
  for (const kind of [
    'integrity objects',
    'encrypted objects',
    'public keys',
    'private and symmetric keys',
    'protected keys',
    'algorithms',
  ])
    expect(table).toContain(`| ${kind}`)
})

it('names options and profiles that are there', () => {
  const profiles = Object.keys(jwmProfiles)
  for (const name of profiles) expect(page).toContain(`\`${name}\``)
  const options: readonly (keyof JwmPolicy)[] = [
    'holders',
    'audience',
    'requiredAttributes',
    'nowMs',
    'skewMs',
    'orders',
    'origin',
  ]
  for (const name of options) expect(page).toContain(`\`${name}\``)
})

it('says the algorithms that the message profile takes, and no others', () => {
  const [, , cell = ''] = rows.find(([what]) => what === 'Algorithms') ?? []
  const said = new Set(namesIn(cell))
  const signer = importKey(generateKey('Ed25519', { random }))
  const agreement = importKey(publicJwk(generateKey('X25519', { random })))
  const smk = importKey(generateKey('oct-256', { random }))
  const taken = new Set<string>()
  for (const key of [agreement, smk]) {
    for (const alg of ['ECDH-ES+A256KW', 'ECDH-ES+A128KW', 'ECDH-ES', 'A256KW', 'A256GCMKW', 'dir']) {
      for (const enc of ['A256GCM', 'A128GCM', 'A256CBC-HS512', 'XC20P']) {
        if ((key === smk) === alg.startsWith('ECDH') || (alg === 'dir' && /^A(?:128GCM|256CBC)/.test(enc))) continue
        const jwe = sealJwe(utf8('x'), {
          recipients: [{ key, alg, kid: 'k' }],
          random,
          enc,
          protected: { typ: 'JWM', cty: 'JWM' },
        })
        const { body, entries } = writeCut(jwe)
        const envelope = readEnvelope(entries[0] ?? body, body)
        if (envelope.ok) for (const name of [envelope.envelope.alg, envelope.envelope.enc]) taken.add(name)
      }
    }
  }
  for (const kind of ['Ed25519', 'P-256', 'P-384', 'P-521'] as const) {
    const key = importKey(generateKey(kind, { random }))
    for (const alg of kind === 'Ed25519' ? ['EdDSA', 'Ed25519'] : [`ES${kind === 'P-521' ? '512' : kind.slice(2)}`]) {
      const header = Buffer.from(JSON.stringify({ alg, kid: key.kid })).toString('base64url')
      if (readSigned(`${header}.e30.AA`).ok) taken.add(alg)
    }
  }
  expect([...taken].sort()).toEqual([...said].sort())
  expect(() => sealMessage({}, { signer, recipients: [{ kid: 'k', key: agreement }], random })).not.toThrow()
})
