import type { JsonObject } from '@parley/core'
import { attributesOf } from '@parley/jwm'
import { describe, expect, it } from 'vitest'
import { readContent, toParley } from '../src/content.ts'

const numbers = { inc: 'AAAAAAAAAAA', seq: 3, prev: 2, sid: 'sid', card: 4 }
const whole: JsonObject = {
  id: 'urn:uuid:9b9d4d2c-0000-4000-8000-000000000000',
  type: 'urn:parley:chat:1:text',
  from: 'im:alice@a.test',
  to: ['im:bob@b.test'],
  thread_id: 'thread',
  body: { text: 'hi' },
  ...toParley(numbers),
}

/** The attributes as the wire gives them, with some members changed or, as `undefined`, left out. */
function read(changes: Record<string, unknown> = {}): ReturnType<typeof readContent> {
  const object = Object.fromEntries(
    Object.entries({ ...whole, time_stamp: 1.5, expiry: 2, ...changes }).filter(([, value]) => value !== undefined),
  ) as JsonObject
  const result = attributesOf(object)
  return result.ok ? readContent(result.attributes) : { ok: false, code: 'content-malformed' }
}

describe('content', () => {
  it('is read with its numbers, its times in milliseconds', () => {
    expect(read()).toMatchObject({
      ok: true,
      content: { from: 'alice@a.test', to: ['bob@b.test'], sent: 1500, expiry: 2000, body: { text: 'hi' }, numbers },
    })
  })

  it('comes back as it was written, with an audience', () => {
    const audience = [{ address: 'bob@b.test' as never, account: 'thumbprint', version: 2 }]
    const result = read({ ...toParley({ inc: numbers.inc, seq: 0, prev: 0, card: 1, audience }) })
    expect(result).toMatchObject({ ok: true, content: { numbers: { seq: 0, audience } } })
  })

  it('may go without a thread, a referent and a body', () => {
    expect(read({ thread_id: undefined, body: undefined })).toMatchObject({ ok: true, content: { body: {} } })
  })

  it.each(['id', 'type', 'from', 'to', 'time_stamp', 'expiry', 'parley'])('is refused without %s', (name) => {
    expect(read({ [name]: undefined })).toEqual({ ok: false, code: 'content-malformed' })
  })

  it.each([
    ['a sender that is no address', { from: 'mailto:alice@a.test' }],
    ['an empty list of recipients', { to: [] }],
    ['a recipient that is no address', { to: ['im:bob@b.test', 'https://b.test'] }],
  ])('is refused with %s', (_, changes) => {
    expect(read(changes)).toEqual({ ok: false, code: 'content-malformed' })
  })

  it.each([
    ['no object', 7],
    ['a list', []],
    ['an inc that is too short', { ...numbers, inc: 'AAAA' }],
    ['an inc that is no text', { ...numbers, inc: 1 }],
    ['no seq', { ...numbers, seq: undefined }],
    ['a negative seq', { ...numbers, seq: -1 }],
    ['a fraction', { ...numbers, seq: 3.5 }],
    ['a seq beyond what counts exactly', { ...numbers, seq: 2 ** 53 }],
    ['a prev that is not before seq', { ...numbers, prev: 3 }],
    ['no prev', { ...numbers, prev: undefined }],
    ['a sid that is no text', { ...numbers, sid: 7 }],
    ['no card version', { ...numbers, card: undefined }],
    ['a card version that is text', { ...numbers, card: '4' }],
    ['an audience that is no list', { ...numbers, audience: {} }],
    ['an audience of no objects', { ...numbers, audience: ['im:bob@b.test'] }],
    ['an audience member without an address', { ...numbers, audience: [{ account: 'a', version: 1 }] }],
    ['an audience member that is no address', { ...numbers, audience: [{ address: 'bob@b.test', account: 'a', version: 1 }] }],
    ['an audience member without an account', { ...numbers, audience: [{ address: 'im:bob@b.test', version: 1 }] }],
    ['an audience member without a version', { ...numbers, audience: [{ address: 'im:bob@b.test', account: 'a' }] }],
  ])('is refused when its own attribute has %s', (_, parley) => {
    expect(read({ parley: JSON.parse(JSON.stringify(parley)) as unknown })).toEqual({ ok: false, code: 'content-malformed' })
  })
})
