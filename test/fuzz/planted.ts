/**
 * Readers with one defect each, put together from the real ones. The fuzzer must find every one of them: a checker that
 * never finds anything proves nothing.
 * @module
 */
import { createDecipheriv } from 'node:crypto'
import { type Backend, importKey, type Jwk, backend as node, readJose, type SignatureScheme } from '@parley/jose'
import { type Opener, open } from './doors.ts'
import type { Layer } from './verdict.ts'

const gcm: { readonly [keyBytes: number]: 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm' | undefined } = {
  16: 'aes-128-gcm',
  24: 'aes-192-gcm',
  32: 'aes-256-gcm',
}

/** Decrypts and never looks at the tag. */
const tagless: Backend = {
  ...node,
  gcmOpen(key, iv, { ciphertext }) {
    const octets = node.secretOctets(key)
    return createDecipheriv(gcm[octets.length] ?? 'aes-256-gcm', octets, iv).update(ciphertext)
  },
}

/** Believes every signature. */
const credulous: Backend = {
  ...node,
  signatures: Object.fromEntries(
    Object.entries(node.signatures).map(([crv, scheme]) => [crv, scheme === undefined ? undefined : believing(scheme)]),
  ),
}

function believing(scheme: SignatureScheme): SignatureScheme {
  return { ...scheme, verify: () => true }
}

/** Lets the errors of OpenSSL out. */
const loud: Backend = {
  ...node,
  keyUnwrap(kek, wrapped) {
    const key = node.keyUnwrap(kek, wrapped)
    if (key === undefined) throw new Error('error:1C800064:Provider routines::bad decrypt')
    return key
  },
}

/** Reports what nothing vouches for among what was protected. */
const mixingHeaders: Opener = (door, input, reader) => {
  const outcome = open(door, input, reader)
  const [text = ''] = input.parts
  const read = door === 'jose' && typeof text === 'string' ? readJose(text) : undefined
  if (!outcome.ok || read?.ok !== true || read.kind !== 'jwe') return outcome
  const { unprotected, recipients } = read.jwe
  const layers = outcome.layers.map((layer): Layer => {
    if (layer.kind !== 'jwe') return layer
    // A header that was reported is JSON.
    const header = JSON.stringify({ ...(JSON.parse(layer.header) as object), ...unprotected, ...recipients[0]?.header })
    return { ...layer, header }
  })
  return { ...outcome, layers }
}

const again = (text: string): string => Buffer.from(text, 'base64url').toString('base64url')

/** Takes padding, other alphabets, white space and unused bits in base64url. */
const lenient: Opener = (door, input, reader) => {
  const [text = '', ...rest] = input.parts
  if (typeof text !== 'string' || text.startsWith('{') || !text.includes('.')) return open(door, input, reader)
  return open(door, { ...input, parts: [text.split('.').map(again).join('.'), ...rest] }, reader)
}

/** Keeps the last of two members of one name. */
const lastOfTwo: Opener = (door, input, reader) => {
  const [text = '', ...rest] = input.parts
  try {
    return open(door, { ...input, parts: [JSON.stringify(JSON.parse(String(text))), ...rest] }, reader)
  } catch {
    return open(door, input, reader)
  }
}

/** Verifies with the key that the header brings along. */
const trusting: Opener = (door, input, reader) => {
  const [text = ''] = input.parts
  const read = typeof text === 'string' ? readJose(text) : undefined
  const signature = read?.ok === true && read.kind === 'jws' ? read.jws.signatures[0] : undefined
  const jwk = (signature?.protected.header['jwk'] ?? signature?.unprotected?.['jwk']) as Jwk | undefined
  try {
    return open(door, input, jwk === undefined ? reader : { ...reader, verify: [importKey(jwk)] })
  } catch {
    return open(door, input, reader)
  }
}

export type Planted = { readonly backend: Backend; readonly open: Opener }

export const planted: readonly (readonly [string, Planted])[] = [
  ['that ignores the tag', { backend: tagless, open }],
  ['that believes every signature', { backend: credulous, open }],
  ['that lets an error of OpenSSL out', { backend: loud, open }],
  ['that reports unprotected members as protected', { backend: node, open: mixingHeaders }],
  ['that takes base64url leniently', { backend: node, open: lenient }],
  ['that keeps the last of two members', { backend: node, open: lastOfTwo }],
  ['that trusts a key in the header', { backend: node, open: trusting }],
]
