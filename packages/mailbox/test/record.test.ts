import { utf8 } from '@parley/core'
import { describe, expect, it } from 'vitest'
import {
  decodeEntry,
  decodeLog,
  decodeMeta,
  encodeEntry,
  encodeLog,
  encodeMeta,
  encodeOwnEntry,
  entryKey,
  expiryKey,
  expiryRange,
  positionIn,
  readerIn,
} from '../src/record.ts'

const inline = { expiry: 1_767_225_600_000, size: 9, entry: utf8('entry'), headerLength: 2, content: { inline: utf8('{}body') } }
const shared = { ...inline, content: { bodyId: 'AAAAAAAAAAAAAAAA' } }

describe('records', () => {
  it.each([inline, shared])('an entry survives a round trip', (record) => {
    expect(decodeEntry(encodeEntry(record))).toEqual(record)
  })

  it('an entry is kind, expiry, size and two lengths in big-endian order, its own octets, then header and body', () => {
    // The lower half of this expiry has its highest bit set.
    const { expiry, size, entry, headerLength } = { ...inline, expiry: 0x19b_f0000001 }
    const whole = new Uint8Array([...new Uint8Array(21), ...entry, ...utf8('{}body')])
    const view = new DataView(whole.buffer)
    view.setBigUint64(1, BigInt(expiry))
    for (const [at, value] of [size, entry.length, headerLength].entries()) view.setUint32(9 + 4 * at, value)
    expect(encodeEntry({ ...inline, expiry })).toEqual(whole)
    expect(encodeOwnEntry({ ...inline, expiry }, { header: utf8('{}'), body: utf8('body') })).toEqual(whole)
    expect(decodeEntry(whole)).toEqual({ ...inline, expiry })
  })

  it('an entry cut short inside its fixed part, its entry or its header is refused', () => {
    const whole = encodeEntry(inline)
    for (let length = 0; length < 21 + 5 + 2; length++) expect(decodeEntry(whole.subarray(0, length))).toBeUndefined()
  })

  it('an entry of an unknown kind is refused', () => {
    const whole = encodeEntry(shared)
    whole[0] = 2
    expect(decodeEntry(whole)).toBeUndefined()
  })

  it('a log record survives a round trip and refuses anything else', () => {
    const log = { reserved: 1024, durable: 5, acked: 3, count: 2, bytes: 4096 }
    expect(decodeLog(encodeLog(log))).toEqual(log)
    for (const text of ['', '1 2 3 4', '1 2 3 4 -5', '1 2 3 4 5 6', 'a b c d e']) expect(decodeLog(utf8(text))).toBeUndefined()
  })

  it('the meta record survives a round trip and refuses anything else', () => {
    expect(decodeMeta(encodeMeta({ schema: 1, epoch: 'AAAAAAAAAAA' }))).toEqual({ schema: 1, epoch: 'AAAAAAAAAAA' })
    for (const text of ['', '[]', '{}', '{"schema":"1"}']) expect(decodeMeta(utf8(text))).toBeUndefined()
  })

  it('keys sort by position and tell position and reader', () => {
    const keys = [9, 10, 4096].map((n) => entryKey('device:a@b/c', n))
    expect([...keys].sort()).toEqual(keys)
    expect(keys.map(positionIn)).toEqual([9, 10, 4096])
    expect(entryKey('device:a@b/c', 1) < entryKey('device:a@b/cc', 1)).toBe(true)
    expect(readerIn(expiryKey(7, 'domain:b.example'))).toBe('domain:b.example')
    expect(expiryKey(7, 'x') >= expiryRange(7).lt).toBe(true)
    expect(expiryKey(6, 'x') < expiryRange(7).lt).toBe(true)
  })
})
