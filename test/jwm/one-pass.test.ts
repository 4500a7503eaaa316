import { createDecipheriv, createHmac, createPublicKey, createVerify } from 'node:crypto'
import type { JsonObject } from '@parley/core'
import { base64url, utf8 } from '@parley/core'
import { makeJwm, openJwm, toXmlText } from '@parley/jwm'
import { describe, expect, test } from 'vitest'
import { must, oct, octets, pair, random } from './people.ts'

const alice = pair('P-256', 'a')
const bob = pair('X25519', 'b')
const mac = oct(32, { kid: 'm' })
const cek = oct(32, { kid: 'c', alg: 'A256GCM' })
const payload = octets({ body: { text: 'x'.repeat(10_000) } })

/** A text in pieces, as a connection hands it over. */
function* pieces(text: string, size = 1000): Generator<string> {
  for (let i = 0; i < text.length; i += size) yield text.slice(i, i + size)
}

describe('order of members', () => {
  test('headers come before the content and a signature or tag behind it', () => {
    const signed = must(
      makeJwm(payload, { signers: [{ key: alice.secret, unprotected: { hint: 1 } }], random, form: 'flattened' }),
    ).jwm
    expect(Object.keys(signed)).toEqual(['protected', 'header', 'payload', 'signature'])
    const parts = { recipients: [bob.open], random, aad: utf8('beside'), unprotected: { hint: 1 } }
    const flattened = must(makeJwm(payload, { ...parts, form: 'flattened' })).jwm
    expect(Object.keys(flattened)).toEqual([
      'protected',
      'unprotected',
      'header',
      'encrypted_key',
      'aad',
      'iv',
      'ciphertext',
      'tag',
    ])
    const general = must(makeJwm(payload, { ...parts, form: 'general' })).jwm
    expect(Object.keys(general)).toEqual(['protected', 'unprotected', 'recipients', 'aad', 'iv', 'ciphertext', 'tag'])
    expect(Object.keys((general as { recipients: JsonObject[] }).recipients[0] ?? {})).toEqual(['header', 'encrypted_key'])
  })
})

describe('one pass', () => {
  test('a reader of the compact form knows the algorithm first, and verifies while the payload comes', () => {
    const text = must(makeJwm(payload, { signers: [alice.secret], random, form: 'compact' })).jwm as string
    const verifier = createVerify('sha256')
    let seen = ''
    let dots = 0
    let signature = ''
    for (const piece of pieces(text)) {
      for (const character of piece) {
        if (character === '.') dots++
        if (dots === 0) seen += character
        if (dots < 2) verifier.update(character)
        else if (character !== '.') signature += character
      }
      if (dots === 1) expect(JSON.parse(Buffer.from(seen, 'base64url').toString())).toMatchObject({ alg: 'ES256', kid: 'a' })
    }
    const key = createPublicKey({ key: alice.open.publicJwk as never, format: 'jwk' })
    expect(verifier.verify({ key, dsaEncoding: 'ieee-p1363' }, signature, 'base64url')).toBe(true)
  })

  test('a reader of the Flattened form decrypts while the ciphertext comes', () => {
    const made = must(makeJwm(payload, { recipients: [cek.key], random, form: 'flattened' })).jwm as { [name: string]: string }
    const text = JSON.stringify(made)
    const start = text.indexOf('"ciphertext":"') + '"ciphertext":"'.length
    // All that the decryption needs to begin has come by then.
    const head = JSON.parse(`${text.slice(0, start)}"}`) as { readonly [name: string]: string }
    const decipher = createDecipheriv(
      'aes-256-gcm',
      Buffer.from(cek.jwk.k ?? '', 'base64url'),
      Buffer.from(head['iv'] ?? '', 'base64url'),
    )
    decipher.setAAD(Buffer.from(head['protected'] ?? ''))
    const out: Buffer[] = []
    const end = text.indexOf('"', start)
    // Pieces of whole groups of four characters.
    for (const piece of pieces(text.slice(start, end), 400)) out.push(decipher.update(Buffer.from(piece, 'base64url')))
    const { tag } = JSON.parse(`{${text.slice(end + 2)}`) as { readonly tag: string }
    decipher.setAuthTag(Buffer.from(tag, 'base64url'))
    expect(new Uint8Array(Buffer.concat([...out, decipher.final()]))).toEqual(payload)
  })

  test('a writer signs while it sends', () => {
    const header = base64url(octets({ alg: 'HS256', kid: 'm', typ: 'JWM' }))
    const hmac = createHmac('sha256', Buffer.from(mac.jwk.k ?? '', 'base64url')).update(`${header}.`)
    let sent = `${header}.`
    for (let i = 0; i < payload.length; i += 300) {
      const piece = base64url(payload.subarray(i, i + 300))
      hmac.update(piece)
      sent += piece
    }
    sent += `.${hmac.digest('base64url')}`
    expect(openJwm(sent, { verifyKeys: [mac.key] })).toMatchObject({ ok: true, payload })
  })
})

describe('inside XML', () => {
  const hostile = { body: { text: 'a < b && c > d ]]> <!-- "' } }
  const hint = { hint: '<&>\ufffe\uffff' }

  test.each(['general', 'flattened', 'compact', 'urlsafe', 'binary'] as const)(
    'a %s message stands as it is, and opens',
    (form) => {
      const unprotected = form === 'compact' ? {} : { unprotected: hint }
      const { jwm } = must(makeJwm(octets(hostile), { recipients: [bob.open], random, form, ...unprotected }))
      const text = toXmlText(jwm) ?? ''
      expect(text).not.toMatch(/[<>&\ufffe\uffff]/)
      const input = form === 'binary' ? new Uint8Array(Buffer.from(text, 'base64url')) : text
      expect(openJwm(input, { keys: [bob.secret] })).toMatchObject({ ok: true, object: hostile })
    },
  )

  test('an unencoded payload is escaped in JSON, and has no text in the compact form', () => {
    const parts = { signers: [mac.key], random, unencoded: true }
    const text = toXmlText(must(makeJwm(octets(hostile), { ...parts, form: 'flattened' })).jwm) ?? ''
    expect(text).not.toMatch(/[<>&\ufffe\uffff]/)
    expect(openJwm(text, { verifyKeys: [mac.key] })).toMatchObject({ ok: true, object: hostile })
    expect(toXmlText(must(makeJwm(octets({ body: { a: '<' } }), { ...parts, form: 'compact' })).jwm)).toBeUndefined()
  })

  test('the binary form spares a large message the base64url', () => {
    const large = octets({ body: { text: 'x'.repeat(100_000) } })
    const sizes = (['binary', 'flattened'] as const).map(
      (form) => must(makeJwm(large, { recipients: [bob.open], random, form })).bytes,
    )
    expect(sizes[0]).toBeLessThan(large.length + 600)
    expect(sizes[1]).toBeGreaterThan(large.length * 1.3)
  })
})
