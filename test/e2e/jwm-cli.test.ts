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
