import { generateKey, type Jwk, publicJwk } from '@parley/jose'
import { systemRandom as random } from '@parley/platform/system'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createStage, parleyBin, type Stage } from './programs.ts'

const ed = generateKey('Ed25519', { random })
const x: Jwk = generateKey('X25519', { random })
const make = { payload: { id: 'urn:uuid:1', body: { text: 'Grüße \u2028 👋' } }, sign_keys: [ed], recipients: [publicJwk(x)] }
const forms = ['general', 'flattened', 'compact', 'urlsafe', 'binary'] as const

let stage: Stage
beforeEach(() => {
  stage = createStage()
})
afterEach(() => stage.close())

describe('parley jwm', () => {
  it('makes and opens every form, a line for a line and in order', async () => {
    const made = await answers('make', forms.map((form) => JSON.stringify({ ...make, form })).join('\n'))
    expect(made.map(({ ok }) => ok)).toEqual(forms.map(() => true))
    const requests = made.map(({ jwm }) =>
      JSON.stringify({ jwm, keys: [x], verify_keys: [publicJwk(ed)], require_signature: true }),
    )
    const opened = await answers('open', `${requests.join('\n')}\n`)
    expect(opened.map(({ payload, committed }) => ({ payload, committed }))).toEqual(
      forms.map(() => ({ payload: make.payload, committed: true })),
    )
    const inspected = await answers('inspect', requests.map((line) => JSON.stringify({ jwm: JSON.parse(line).jwm })).join('\n'))
    expect(inspected.map(({ ok }) => ok)).toEqual(forms.map(() => true))
  })

  it('answers each line when it is complete, however it comes in pieces', async () => {
    const program = stage.start([parleyBin, 'jwm', 'make'])
    const line = Buffer.from(`${JSON.stringify({ ...make, form: 'compact' })}\n`)
    program.write(line)
    const first = await program.next(() => true)
    expect(JSON.parse(first.text)).toMatchObject({ ok: true })
    // In the middle of a character of four octets.
    const cut = line.indexOf('👋') + 2
    program.write(line.subarray(0, cut))
    program.write('')
    program.write(line.subarray(cut))
    const second = await program.next(() => true)
    const request = { jwm: JSON.parse(second.text).jwm, keys: [x], verify_keys: [publicJwk(ed)] }
    const [opened] = await answers('open', JSON.stringify(request))
    expect(opened).toMatchObject({ ok: true, payload: make.payload, layers: [{ kind: 'jwe', kid: x.kid }, { kind: 'jws' }] })
    program.end()
    expect(await program.ended).toMatchObject({ code: 0, err: '' })
  })

  it('answers what cannot be read, and goes on', async () => {
    const good = JSON.stringify({ ...make, form: 'compact' })
    const answered = await answers('make', [good, '{', '', '[]', 'null', '{"form":"round"}', good].join('\n'))
    const malformed = { ok: false, error: 'request-malformed' }
    expect(answered.slice(1, 6)).toEqual([malformed, malformed, malformed, malformed, malformed])
    expect([answered[0]?.ok, answered[6]?.ok]).toEqual([true, true])
  })

  it('keeps a thousand lines in order', async () => {
    const lines = Array.from({ length: 1000 }, (_, n) => JSON.stringify({ payload: { n }, sign_keys: [ed], form: 'compact' }))
    const made = await answers('make', lines.join('\n'))
    const order = made.map(({ jwm }) => JSON.parse(Buffer.from(String(jwm).split('.')[1] ?? '', 'base64url').toString()).n)
    expect(order).toEqual(lines.map((_, n) => n))
  })

  it('answers a policy, a gateway, keys and parts as the library does', async () => {
    const gateway = generateKey('P-256', { random })
    const base = { payload: make.payload, sign_keys: [ed] }
    const [signed, sealed, wrapped, apart] = await answers(
      'make',
      [
        { ...base, form: 'flattened', profile: 'integrity' },
        {
          ...base,
          recipients: [publicJwk(x), generateKey('oct-256', { random })],
          replicate: ['id'],
          profile: 'non-repudiation',
        },
        { jwk: ed, recipients: [publicJwk(x)], form: 'binary' },
        { ...base, detached: true, unencoded: true, form: 'compact' },
      ]
        .map((request) => JSON.stringify(request))
        .join('\n'),
    )
    const [countersigned] = await answers('make', JSON.stringify({ jwm: signed?.['jwm'], sign_keys: [gateway] }))
    const verify_keys = [publicJwk(ed), publicJwk(gateway)]
    const payload_b64u = Buffer.from(JSON.stringify(make.payload)).toString('base64url')
    const opened = await answers(
      'open',
      [
        { jwm: countersigned?.['jwm'], verify_keys, require: [ed.kid, gateway.kid], profile: 'integrity' },
        { jwm: sealed?.['jwm'], keys: [x], verify_keys, profile: 'non-repudiation' },
        { jwm: wrapped?.['jwm'], keys: [x], content: 'jwk' },
        { jwm: apart?.['jwm'], verify_keys, payload_b64u },
        { jwm: sealed?.['jwm'], keys: [x], verify_keys, audience: 'im:bob@b.example' },
      ]
        .map((request) => JSON.stringify(request))
        .join('\n'),
    )
    expect(opened).toMatchObject([
      { ok: true, proved: { signed_by: [ed.kid, gateway.kid] } },
      { ok: true, proved: { order: 'sign-encrypt', origin: 'signature' } },
      { ok: true, jwk: ed, thumbprint: ed.kid },
      { ok: true, payload: make.payload },
      { ok: false, error: 'audience-mismatch' },
    ])
    const text = JSON.stringify(sealed?.['jwm'])
    const [inspected] = await answers('inspect', JSON.stringify({ jwm: text, split: true, keys: [publicJwk(x)] }))
    expect(inspected).toMatchObject({ layers: [{ protected: { id: 'urn:uuid:1' } }], keys: [{ thumbprint: x.kid }] })
    const { shared, entries } = inspected ?? {}
    expect(await answers('make', JSON.stringify({ shared, entries }))).toMatchObject([{ ok: true, jwm: text }])
  })

  it('carries 8 MiB each way', { timeout: 60_000 }, async () => {
    const payload = { body: { text: 'x'.repeat(8 * 1024 * 1024) } }
    const [made] = await answers('make', JSON.stringify({ ...make, payload, form: 'binary' }))
    const [opened] = await answers(
      'open',
      JSON.stringify({ jwm_b64u: made?.['jwm_b64u'], keys: [x], verify_keys: [publicJwk(ed)] }),
    )
    expect(JSON.stringify(opened?.['payload'])).toBe(JSON.stringify(payload))
  })

  it('lists every member of a request with --help', async () => {
    const { code, out } = await stage.start([parleyBin, 'jwm', '--help'], { input: '' }).ended
    expect(code).toBe(0)
    for (const member of ['sign_keys', 'replicate', 'required_attributes', 'split', 'password_iterations'])
      expect(out).toContain(member)
  })

  it('refuses another verb', async () => {
    const program = stage.start([parleyBin, 'jwm', 'shake'], { input: '' })
    expect((await program.ended).code).toBe(2)
  })
})

async function answers(verb: string, input: string): Promise<readonly { readonly [name: string]: unknown }[]> {
  const { code, out, err } = await stage.start([parleyBin, 'jwm', verb], { input }).ended
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}
