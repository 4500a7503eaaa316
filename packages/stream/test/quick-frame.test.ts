import { concat, type DeviceId, parseAddress, type StanzaId, utf8, uuidUrnFrom } from '@parley/core'
import { createSimRandom } from '@parley/core/sim'
import { describe, expect, it } from 'vitest'
import { type AckFrame, readFrame, type StanzaFrame, writeFrame } from '../src/frame.ts'
import { type Memo, readQuickAck, readQuickStanza } from '../src/quick-frame.ts'
import { packEntries, packHeader, unpackFrame, unpackHeader } from '../src/stored.ts'

const random = createSimRandom(1)
const device = 'A'.repeat(43) as DeviceId
const other = `${'B'.repeat(42)}-` as DeviceId

const stanza = (more: Partial<StanzaFrame> = {}): StanzaFrame => ({
  t: 'stanza',
  place: { c: 7, n: 12_345 },
  header: {
    id: uuidUrnFrom(random.bytes(16)) as StanzaId,
    from: parseAddress('alice@a.example'),
    device,
    to: [parseAddress('bob@b.example:4002')],
    class: 'durable',
    sent: 1_700_000_000_000,
    expiry: 1_800_000_000_000,
  },
  entries: [{ device: '*', octets: utf8('entry') }],
  body: utf8('body'),
  ...more,
})
const ack = (more: Partial<AckFrame> = {}): AckFrame => ({ t: 'ack', epoch: 'AAAAAAAAAAA', h: 9, ...more })

const split = (frame: Uint8Array): readonly [header: string, payload: Uint8Array] => {
  const end = frame.indexOf(0x0a)
  return [new TextDecoder().decode(frame.subarray(0, end)), frame.subarray(end + 1)]
}
/** The same frame in another form: a space behind the first brace. */
const spaced = (frame: Uint8Array): Uint8Array => {
  const [header, payload] = split(frame)
  return concat(utf8(`{ ${header.slice(1)}\n`), payload)
}

describe('a frame in the form in which it is written', () => {
  it.each([
    ['a stanza for all devices', stanza()],
    ['a stanza for one device', stanza({ entries: [{ device: other, octets: utf8('x') }] })],
    ['a stanza without a body', stanza({ body: new Uint8Array(0) })],
  ])('%s is read without a parser, and means what the parser says', (_, frame) => {
    const octets = writeFrame(frame)
    const { packed, ...quick } = readQuickStanza(split(octets)[0], octets, { middles: undefined }) as StanzaFrame
    expect(quick).toEqual(frame)
    expect(readFrame(spaced(octets))).toEqual({ ok: true, frame })
    expect(readFrame(octets)).toMatchObject({ ok: true, frame })
    // What is stored of it is the same, read in either way.
    expect(unpackHeader(packed as Uint8Array)).toEqual(unpackHeader(packHeader(frame.header)))
    const stored = { header: packed as Uint8Array, entry: packEntries(frame.entries), body: frame.body }
    expect(unpackFrame(stored, frame.place)).toEqual(octets)
  })

  it.each([
    ['an acknowledgement of a mailbox', ack()],
    ['an acknowledgement with what was before', ack({ after: 3 })],
    ['an acknowledgement with a card', ack({ after: 3, cards: { 'bob@b.example': 2 } })],
  ])('%s is read without a parser, and means what the parser says', (_, frame) => {
    const octets = writeFrame(frame)
    expect(readQuickAck(split(octets)[0])).toEqual(frame)
    expect(readFrame(spaced(octets))).toEqual({ ok: true, frame })
  })

  it('has several entries, recipients and cards as well, which the parser reads', () => {
    const { header } = stanza()
    for (const frame of [
      stanza({ entries: [...stanza().entries, { device: other, octets: utf8('y') }] }),
      stanza({ header: { ...header, to: [parseAddress('bob@b.example'), parseAddress('carol@b.example')] } }),
      stanza({ entries: [] }),
    ])
      expect(readFrame(writeFrame(frame))).toEqual({ ok: true, frame })
    const cards = ack({ cards: { 'bob@b.example': 2, 'carol@b.example': 1 } })
    expect(readFrame(writeFrame(cards))).toEqual({ ok: true, frame: cards })
  })

  it('is refused with an address that is not folded, a place that is none, or an entry longer than the payload', () => {
    const [header, payload] = split(writeFrame(stanza()))
    for (const [from, to] of [
      ['alice@a.example', 'Alice@a.example'],
      ['alice@a.example', 'alice'],
      ['bob@b.example:4002', 'bob@b..example'],
      ['"n":12345', '"n":0'],
      ['"c":7', '"c":07'],
      ['["*",5]', '["*",500]'],
      ['urn:uuid:', 'urn:uuix:'],
    ] as const) {
      const changed = header.replace(from, to)
      expect(changed).not.toBe(header)
      expect(readFrame(concat(utf8(`${changed}\n`), payload))).toEqual({ ok: false, code: 'frame-malformed' })
    }
  })

  it('remembers the middles of few headers of one connection', () => {
    const memo: Memo = { middles: undefined }
    for (let i = 0; i < 100; i++) {
      const { header } = stanza()
      const frame = stanza({ header: { ...header, to: [parseAddress(`user${i}@b.example`)] } })
      expect(readFrame(writeFrame(frame), undefined, memo)).toMatchObject({ ok: true, frame })
    }
    expect(memo.middles?.length).toBeLessThan(20)
  })
})
