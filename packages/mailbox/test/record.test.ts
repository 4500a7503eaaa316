import { utf8 } from '@parley/core'
import { describe, expect, it } from 'vitest'
import {
  decodeLog,
  decodeMeta,
  encodeLog,
  encodeMeta,
  entryKey,
  expiryKey,
  expiryRange,
  positionIn,
  readerIn,
} from '../src/record.ts'

describe('records', () => {
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
