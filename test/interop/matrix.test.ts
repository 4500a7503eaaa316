import { type JsonObject, type Random, utf8 } from '@parley/core'
import {
  type Backend,
  contentAlgorithms,
  generateKey,
  importKey,
  importPassword,
  type Jwe,
  type Jwk,
  type Jws,
  type Key,
  keyManagementAlgorithms,
  backend as node,
  openJwe,
  type PasswordAlgorithm,
  publicJwk,
  readJose,
  sealJwe,
  signatureAlgorithms,
  signJws,
  toCompactJwe,
  toCompactJws,
  toFlattenedJwe,
  toFlattenedJws,
  toGeneralJwe,
  toGeneralJws,
  verifyJws,
} from '@parley/jose'
import { generateMlDsaKey, type MlDsaAlgorithm, mlDsa } from '@parley/jose/ml-dsa'
import { noble } from '@parley/jose/noble'
import * as npmJose from 'jose'
import { describe, expect, test } from 'vitest'
import { rsaJwk } from './rsa.ts'

const random: Random = { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) }
const content = utf8('every algorithm, every form, both ways')
const password = utf8('correct horse battery')
const passwordIterations = 1000
const rsa = rsaJwk(2048)
const secret = (length: number): Jwk => ({ kty: 'oct', k: node.base64url(random.bytes(length)) })
const shown = (jwk: Jwk): Jwk => (jwk.kty === 'oct' ? jwk : publicJwk(jwk))
const fits = (backend: Backend, jwk: Jwk): boolean => jwk.kty !== 'RSA' || backend.rsa !== undefined

type Foreign = Awaited<ReturnType<typeof npmJose.importJWK>>

// What npm jose lacks: the ChaCha20 ciphers and ES256K.
const encs = [...contentAlgorithms.values()].filter(({ cipher }) => cipher !== 'chacha')
const curveOf: { readonly [alg: string]: 'P-521' | 'P-256' | 'P-384' | 'X25519' } = {
  'ECDH-ES': 'P-521',
  'ECDH-ES+A128KW': 'P-256',
  'ECDH-ES+A192KW': 'P-384',
  'ECDH-ES+A256KW': 'X25519',
}

function encryptionJwk(alg: string, keyBytes: number): Jwk {
  const curve = curveOf[alg]
  if (curve !== undefined) return generateKey(curve, { random })
  if (alg.startsWith('RSA')) return rsa
  if (alg.startsWith('PBES2')) return { kty: 'oct', k: node.base64url(password) }
  return secret(alg === 'dir' ? keyBytes : (keyManagementAlgorithms.get(alg)?.kekBytes ?? 0))
}

async function foreignKey(jwk: Jwk, alg: string): Promise<Foreign> {
  if (jwk.kty === 'oct') return node.fromBase64url(jwk.k ?? '') ?? new Uint8Array(0)
  return await npmJose.importJWK(jwk as npmJose.JWK, alg)
}

function ourKey(jwk: Jwk, alg: string, backend: Backend): Key {
  if (alg.startsWith('PBES2')) return importPassword(password, { alg: alg as PasswordAlgorithm, backend })
  return importKey(jwk, { backend, extensions: [mlDsa] })
}

function readJwe(input: string | JsonObject): Jwe {
  const read = readJose(input)
  if (!read.ok || read.kind !== 'jwe') throw new Error('not a JWE')
  return read.jwe
}

function readJws(input: string | JsonObject): Jws {
  const read = readJose(input)
  if (!read.ok || read.kind !== 'jws') throw new Error('not a JWS')
  return read.jws
}

// Passwords are opt-in on that side as on ours.
const decryptOptions = (alg: string): npmJose.DecryptOptions => ({
  keyManagementAlgorithms: [alg],
  maxPBES2Count: passwordIterations,
})

async function decryptForeign(jwe: Jwe, key: Foreign, alg: string): Promise<readonly Uint8Array[]> {
  const options = decryptOptions(alg)
  const opened = [
    await npmJose.compactDecrypt(toCompactJwe(jwe), key, options),
    await npmJose.flattenedDecrypt(toFlattenedJwe(jwe) as unknown as npmJose.FlattenedJWE, key, options),
    await npmJose.generalDecrypt(toGeneralJwe(jwe) as unknown as npmJose.GeneralJWE, key, options),
  ]
  return opened.map(({ plaintext }) => new Uint8Array(plaintext))
}

async function encryptForeign(key: Foreign, header: { alg: string; enc: string }): Promise<readonly (string | JsonObject)[]> {
  const parameters = header.alg.startsWith('PBES2') ? { p2c: passwordIterations } : {}
  const compact = new npmJose.CompactEncrypt(content).setProtectedHeader(header).setKeyManagementParameters(parameters)
  const flattened = new npmJose.FlattenedEncrypt(content).setProtectedHeader(header).setKeyManagementParameters(parameters)
  const general = new npmJose.GeneralEncrypt(content).setProtectedHeader(header)
  const recipient = general.addRecipient(key).setKeyManagementParameters(parameters)
  return [
    await compact.encrypt(key),
    (await flattened.encrypt(key)) as unknown as JsonObject,
    (await recipient.done().encrypt()) as unknown as JsonObject,
  ]
}

const pairs = [...keyManagementAlgorithms.keys()].flatMap((alg) => encs.map(({ enc, keyBytes }) => [alg, enc, keyBytes] as const))

describe.each(pairs)('%s with %s', (alg, enc, keyBytes) => {
  const jwk = encryptionJwk(alg, keyBytes)
  const able = [node, noble].filter((backend) => fits(backend, jwk))

  test('is decrypted by npm jose in every serialization', async () => {
    const key = await foreignKey(jwk, alg)
    for (const backend of able) {
      const recipients = [{ key: ourKey(shown(jwk), alg, backend), alg }]
      const jwe = sealJwe(content, { recipients, random, enc, allProtected: true, passwordIterations })
      for (const plaintext of await decryptForeign(jwe, key, alg)) expect(plaintext).toEqual(content)
    }
  })

  test('by npm jose is opened in every serialization', async () => {
    for (const input of await encryptForeign(await foreignKey(shown(jwk), alg), { alg, enc })) {
      for (const backend of able) {
        const opened = openJwe(readJwe(input), { keys: [ourKey(jwk, alg, backend)], algorithms: [alg] })
        expect(opened).toMatchObject({ ok: true, plaintext: content, alg, enc })
      }
    }
  })
})

const signatureJwks: { readonly [alg: string]: Jwk } = {
  EdDSA: generateKey('Ed25519', { random }),
  Ed25519: generateKey('Ed25519', { random }),
  ES256: generateKey('P-256', { random }),
  ES384: generateKey('P-384', { random }),
  ES512: generateKey('P-521', { random }),
  HS256: secret(32),
  HS384: secret(48),
  HS512: secret(64),
}
const signatureJwk = (alg: string): Jwk =>
  signatureJwks[alg] ?? (alg.startsWith('ML-DSA') ? generateMlDsaKey(alg as MlDsaAlgorithm, { random }) : rsa)
const shared = [...signatureAlgorithms.keys()].filter((alg) => alg !== 'ES256K')
// npm jose has ML-DSA where WebCrypto has it, from Node 24.7 on.
const isForeign = async (alg: string): Promise<boolean> =>
  !alg.startsWith('ML-DSA') ||
  (await npmJose.importJWK(generateMlDsaKey(alg as MlDsaAlgorithm, { random }) as npmJose.JWK, alg).then(
    () => true,
    () => false,
  ))
const foreign = new Map(await Promise.all(shared.map(async (alg) => [alg, await isForeign(alg)] as const)))

describe.each(shared)('%s', (alg) => {
  if (foreign.get(alg) !== true) {
    test.skip(`${alg}: npm jose does not have it on this Node`)
    return
  }
  const jwk = { ...signatureJwk(alg), kid: 'signer' }
  const able = [node, noble].filter((backend) => fits(backend, jwk))

  test('is verified by npm jose in every serialization', async () => {
    const key = await foreignKey(shown(jwk), alg)
    for (const backend of able) {
      const jws = signJws(content, { signers: [{ key: ourKey(jwk, alg, backend), alg }] })
      const verified = [
        await npmJose.compactVerify(toCompactJws(jws), key),
        await npmJose.flattenedVerify(toFlattenedJws(jws) as unknown as npmJose.FlattenedJWSInput, key),
        await npmJose.generalVerify(toGeneralJws(jws) as unknown as npmJose.GeneralJWSInput, key),
      ]
      for (const { payload, protectedHeader } of verified) {
        expect(new Uint8Array(payload)).toEqual(content)
        expect(protectedHeader).toEqual({ alg, kid: 'signer' })
      }
    }
  })

  test('by npm jose verifies in every serialization', async () => {
    const key = await foreignKey(jwk, alg)
    const header = { alg, kid: 'signer' }
    const flattened = await new npmJose.FlattenedSign(content).setProtectedHeader(header).sign(key)
    const general = await new npmJose.GeneralSign(content).addSignature(key).setProtectedHeader(header).done().sign()
    const compact = await new npmJose.CompactSign(content).setProtectedHeader(header).sign(key)
    for (const input of [compact, flattened as unknown as JsonObject, general as unknown as JsonObject]) {
      for (const backend of able) {
        const verified = verifyJws(readJws(input), { keys: [ourKey(shown(jwk), alg, backend)] })
        expect(verified).toMatchObject({ ok: true, payload: content, signatures: [{ alg, kid: 'signer', verified: true }] })
      }
    }
  })
})

describe('one object for many', () => {
  const several = [...keyManagementAlgorithms.values()].filter(({ mode }) => mode !== 'direct' && mode !== 'agree')
  const members = several.map(({ alg }) => ({ alg, jwk: { ...encryptionJwk(alg, 32), kid: alg } }))
  const algorithms = members.map(({ alg }) => alg)

  test.each([node, noble].map((backend) => [backend.name, backend] as const))(
    'a General JWE for a session key, agreement keys and all others, by the %s backend',
    async (_, backend) => {
      const mine = members.filter(({ jwk }) => fits(backend, jwk))
      const recipients = mine.map(({ alg, jwk }) => ({ key: ourKey(shown(jwk), alg, backend), alg, kid: alg }))
      const object = toGeneralJwe(sealJwe(content, { recipients, random, passwordIterations }))
      for (const { alg, jwk } of mine) {
        const key = await foreignKey(jwk, alg)
        const opened = await npmJose.generalDecrypt(object as unknown as npmJose.GeneralJWE, key, decryptOptions(alg))
        expect(new Uint8Array(opened.plaintext)).toEqual(content)
      }
    },
  )

  test('a General JWE for all of them by npm jose', async () => {
    const encrypt = new npmJose.GeneralEncrypt(content).setProtectedHeader({ enc: 'A128CBC-HS256' })
    for (const { alg, jwk } of members) {
      const recipient = encrypt.addRecipient(await foreignKey(shown(jwk), alg)).setUnprotectedHeader({ alg, kid: alg })
      if (alg.startsWith('PBES2')) recipient.setKeyManagementParameters({ p2c: passwordIterations })
    }
    const jwe = readJwe((await encrypt.encrypt()) as unknown as JsonObject)
    for (const [position, { alg, jwk }] of members.entries()) {
      for (const backend of [node, noble].filter((one) => fits(one, jwk))) {
        const key = alg.startsWith('PBES2')
          ? importPassword(password, { alg: alg as PasswordAlgorithm, kid: alg, backend })
          : importKey(jwk, { backend })
        expect(openJwe(jwe, { keys: [key], algorithms })).toMatchObject({ ok: true, plaintext: content, recipient: position })
      }
    }
  })

  const signers = shared
    .filter((alg) => foreign.get(alg) === true)
    .map((alg) => ({ alg, jwk: { ...signatureJwk(alg), kid: alg } }))

  test('a General JWS with a signature of every algorithm, both ways', async () => {
    const ours = signJws(content, { signers: signers.map(({ alg, jwk }) => ({ key: ourKey(jwk, alg, node), alg })) })
    for (const { alg, jwk } of signers) {
      const key = await foreignKey(shown(jwk), alg)
      const verified = await npmJose.generalVerify(toGeneralJws(ours) as unknown as npmJose.GeneralJWSInput, key, {
        algorithms: [alg],
      })
      expect(new Uint8Array(verified.payload)).toEqual(content)
    }
    const sign = new npmJose.GeneralSign(content)
    for (const { alg, jwk } of signers) sign.addSignature(await foreignKey(jwk, alg)).setProtectedHeader({ alg, kid: alg })
    const jws = readJws((await sign.sign()) as unknown as JsonObject)
    const verified = verifyJws(jws, { keys: signers.map(({ alg, jwk }) => ourKey(shown(jwk), alg, node)) })
    expect(verified).toMatchObject({ ok: true, signatures: signers.map(({ alg }) => ({ alg, kid: alg, verified: true })) })
  })
})
