import { utf8 } from '@parley/core'
import { describe, expect, it } from 'vitest'
import { packEntries, packHeader, readFrame, unpackFrame, unpackHeader, writeFrame } from '../src/index.ts'
import { alice, bob, deviceOf, now, signingKey, stanzaId } from './parts.ts'

const device = deviceOf(signingKey())
const header = { id: stanzaId(), from: alice, device, to: [bob], class: 'durable', sent: now, expiry: now + 1 } as const
const entries = [
  { device, octets: utf8('one\n') },
  { device: '*', octets: utf8('two') },
] as const

describe('stored stanzas', () => {
  it('make the frame of their place again', () => {
    const stored = { header: packHeader(header), entry: packEntries(entries), body: utf8('body') }
    const read = readFrame(unpackFrame(stored, { c: 3, n: 9 }))
    expect(read).toEqual({ ok: true, frame: { t: 'stanza', place: { c: 3, n: 9 }, header, entries, body: utf8('body') } })
  })

  it('make a frame without a position when they are ephemeral', () => {
    const ephemeral = { ...header, class: 'ephemeral' } as const
    const stored = { header: packHeader(ephemeral), entry: packEntries([]), body: new Uint8Array(0) }
    const read = readFrame(unpackFrame(stored, { c: 1 }))
    expect(read).toEqual({
      ok: true,
      frame: { t: 'stanza', place: { c: 1 }, header: ephemeral, entries: [], body: new Uint8Array(0) },
    })
  })

  it('make the very octets of a stanza that was never stored', () => {
    const many = Array.from({ length: 40 }, (_, i) => ({ device: deviceOf(signingKey()), octets: utf8('x'.repeat(i)) }))
    for (const to of [[bob], [bob, alice]])
      for (const own of [entries, many, many.slice(0, 1)]) {
        const frame = { t: 'stanza', place: { c: 3, n: 9 }, header: { ...header, to }, entries: own, body: utf8('body') } as const
        const stored = { header: packHeader(frame.header), entry: packEntries(own), body: frame.body }
        expect(unpackFrame(stored, frame.place)).toEqual(writeFrame(frame))
      }
  })

  it('tell their header to those who must know it', () => {
    expect(unpackHeader(packHeader(header))).toEqual({ t: 'stanza', ...header })
    expect(unpackHeader(utf8('?'))).toEqual({})
  })
})
