import { fromUtf8, utf8 } from '@parley/core'
import { describe, expect, it } from 'vitest'
import { encodeFrame } from '../src/frame.ts'
import { type Frame, readFrame, writeFrame } from '../src/index.ts'
import { streamLimits } from '../src/limits.ts'
import { alice, bob, deviceOf, now, random, signingKey, stanzaId } from './parts.ts'

const device = deviceOf(signingKey())
const other = deviceOf(signingKey())
const id = stanzaId()
const header = { id, from: alice, device, to: [bob], class: 'durable', sent: now, expiry: now + 1 } as const
const entries = [
  { device: '*', octets: utf8('shared') },
  { device: other, octets: new Uint8Array(0) },
] as const

const frames: readonly Frame[] = [
  { t: 'challenge', nonce: 'n', domain: 'a.example', time: now },
  { t: 'login', jws: 'a.b.c' },
  { t: 'register', jws: 'a.b.c', card: 'd.e.f', statement: 'g.h.i' },
  { t: 'welcome', jws: 'a.b.c', key: { kty: 'OKP' } },
  { t: 's2s', jws: 'a.b.c', key: { kty: 'OKP' } },
  { t: 's2s-proof', jws: 'a.b.c', key: { kty: 'OKP' } },
  { t: 'stanza', place: { c: 1, n: 7 }, header, entries, body: utf8('body\nwith a line feed') },
  { t: 'stanza', place: { c: 2 }, header: { ...header, class: 'ephemeral' }, entries: [], body: new Uint8Array(0) },
  { t: 'bounced', place: { c: 3, n: 8 }, id, to: [bob], code: 'undeliverable', retryable: false, jws: 'a.b.c' },
  { t: 'ack', epoch: 'AAAAAAAAAAA', h: 7 },
  { t: 'ack', epoch: 'AAAAAAAAAAA', h: 7, after: 3, cards: { [bob]: 2 }, bounced: [{ id, code: 'expired', retryable: false }] },
  { t: 'request', id: '1', what: 'cards', value: { address: bob, since: 0 } },
  { t: 'response', id: '1', ok: true, value: { cards: ['a.b.c'] } },
  { t: 'response', id: '1', ok: false, code: 'item-not-found', retryable: false },
  { t: 'response', id: '1', ok: false, code: 'too-many-requests', retryable: true, wait: 1000 },
  { t: 'error', code: 'idle', retryable: true },
  { t: 'error', code: 'version-unsupported', retryable: false, versions: ['parley.c2s.1'] },
  { t: 'ping' },
  { t: 'pong' },
]

describe('frames', () => {
  it.each(frames.map((frame) => [frame.t, frame] as const))('a %s survives a round trip', (_, frame) => {
    expect(readFrame(writeFrame(frame))).toEqual({ ok: true, frame })
  })

  it('a header cut anywhere is refused', () => {
    for (const frame of frames) {
      const whole = writeFrame(frame)
      for (let length = 0; length <= whole.indexOf(0x0a); length++) {
        expect(readFrame(whole.subarray(0, length))).toEqual({ ok: false, code: 'frame-malformed' })
      }
    }
  })

  it('a stanza whose payload is shorter than its entries is refused', () => {
    const whole = writeFrame({ t: 'stanza', place: { c: 1, n: 1 }, header, entries, body: new Uint8Array(0) })
    for (let cut = 1; cut <= 6; cut++) expect(readFrame(whole.subarray(0, whole.length - cut)).ok).toBe(false)
  })

  it('members that it does not know are ignored, at every frame', () => {
    for (const frame of frames) {
      const whole = fromUtf8(writeFrame(frame)) ?? ''
      expect(readFrame(utf8(whole.replace('{', '{"later":{"a":[1]},')))).toEqual({ ok: true, frame })
    }
  })

  const good = { t: 'stanza', c: 1, n: 1, ...header, entries: [] }
  const bad: readonly (readonly [string, object])[] = [
    ['an unknown kind', { t: 'later' }],
    ['no kind', {}],
    ['a stanza without n', { ...good, n: undefined }],
    ['an ephemeral stanza with n', { ...good, class: 'ephemeral' }],
    ['a stanza without c', { ...good, c: undefined }],
    ['a position of zero', { ...good, n: 0 }],
    ['a position that is no integer', { ...good, n: 1.5 }],
    ['a position that is too large', { ...good, n: 2 ** 53 }],
    ['no recipient', { ...good, to: [] }],
    ['a recipient twice', { ...good, to: [bob, bob] }],
    ['an address in upper case', { ...good, to: ['Bob@b.example'] }],
    ['an address without a domain', { ...good, from: 'alice' }],
    ['too many recipients', { ...good, to: Array.from({ length: 65 }, (_, i) => `u${i}@b.example`) }],
    ['another class', { ...good, class: 'other' }],
    ['an id that is no version 4 UUID', { ...good, id: 'urn:uuid:1' }],
    ['a device that is no thumbprint', { ...good, device: 'd' }],
    ['entries that are no list', { ...good, entries: {} }],
    ['an entry with a negative length', { ...good, entries: [['*', -1]] }],
    ['an entry longer than the payload', { ...good, entries: [['*', 1]] }],
    [
      'two entries for one device',
      {
        ...good,
        entries: [
          ['*', 0],
          ['*', 0],
        ],
      },
    ],
    ['an entry for an unknown kind of device', { ...good, entries: [['all', 0]] }],
    ['too many entries', { ...good, entries: Array.from({ length: 257 }, () => ['*', 0]) }],
    ['an expiry that is a text', { ...good, expiry: 'soon' }],
    ['an acknowledgement of a negative position', { t: 'ack', epoch: 'x', h: -1 }],
    ['card versions that are texts', { t: 'ack', epoch: 'x', h: 1, cards: { [bob]: '1' } }],
    ['a bounce without a code', { t: 'ack', epoch: 'x', h: 1, bounced: [{ id, retryable: true }] }],
    ['an error without a code', { t: 'error', retryable: true }],
    ['an error whose code is a sentence', { t: 'error', code: 'It went wrong', retryable: true }],
    ['a login without a signature', { t: 'login' }],
    ['a welcome whose key is a text', { t: 'welcome', jws: 'a', key: 'k' }],
    ['a response that is neither', { t: 'response', id: '1', ok: 'yes' }],
  ]
  it.each(bad)('%s is refused', (_, value) => {
    expect(readFrame(utf8(`${JSON.stringify(value)}\n`))).toEqual({ ok: false, code: 'frame-malformed' })
  })

  it.each([
    ['a payload where none belongs', '{"t":"ping"}\nmore'],
    ['a request whose payload is no object', '{"t":"request","id":"1","what":"cards"}\n[]'],
    ['a duplicate member', '{"t":"ping","t":"pong"}\n'],
    ['a header that is no object', '[]\n'],
    ['a header that is too deep', `{"t":"ping","a":${'['.repeat(20)}${']'.repeat(20)}}\n`],
    ['nothing', ''],
    ['an empty line', '\n'],
  ])('%s is refused', (_, text) => {
    expect(readFrame(utf8(text))).toEqual({ ok: false, code: 'frame-malformed' })
  })

  it('a frame or header beyond its limit is refused before it is parsed', () => {
    const large = encodeFrame({ t: 'ping' }, new Uint8Array(2000))
    expect(readFrame(large, { ...streamLimits, frameBytesMax: 1000 })).toEqual({ ok: false, code: 'frame-too-large' })
    const long = utf8(`{"t":"ping","a":"${'x'.repeat(2000)}"}\n`)
    expect(readFrame(long, { ...streamLimits, headerBytesMax: 1000 })).toEqual({ ok: false, code: 'frame-too-large' })
  })

  it('no mutation makes it throw, and what it still reads it writes and reads the same again', () => {
    let read = 0
    for (let round = 0; round < 20_000; round++) {
      const bytes = writeFrame(random.pick(frames)).slice()
      for (let i = random.int(4); i >= 0; i--)
        bytes[random.int(bytes.length)] = random.chance(0.5) ? random.int(256) : random.pick([...utf8('{}[]",:0129e-\\n')])
      const first = readFrame(random.chance(0.2) ? bytes.subarray(0, random.int(bytes.length)) : bytes)
      if (!first.ok) continue
      read++
      expect(readFrame(writeFrame(first.frame))).toEqual(first)
    }
    expect(read).toBeGreaterThan(100)
  })

  it('entries and body are views of what came in, not copies', () => {
    const whole = writeFrame({ t: 'stanza', place: { c: 1, n: 1 }, header, entries, body: utf8('body') })
    const read = readFrame(whole)
    expect(read.ok && read.frame.t === 'stanza' && read.frame.body.buffer === whole.buffer).toBe(true)
  })
})
