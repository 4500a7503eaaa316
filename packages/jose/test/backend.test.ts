import { fromBase64url } from '@parley/core'
import { describe, expect, test } from 'vitest'
import { backend as noble } from '../src/backend/noble.ts'
import { backend as node } from '../src/backend/node.ts'

const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 151 + (i >> 3)) & 0xff)

describe('base64url of long texts on Node, which has a way of its own', () => {
  test.each([1533, 1536, 1537, 1538, 3000, 3001, 3002])('%i octets come back, as in the strict decoder', (length) => {
    const text = noble.base64url(bytes(length))
    expect(node.base64url(bytes(length))).toBe(text)
    expect(node.fromBase64url(text)).toEqual(bytes(length))
  })

  test.each([2400, 2402, 2403])('any other character anywhere in %i is refused, as by the strict decoder', (length) => {
    const text = noble
      .base64url(bytes(1803))
      .slice(0, length - 1)
      .concat('A')
    const places = [0, 1, 2, 3, 1000, 1001, length - 5, length - 4, length - 3, length - 2, length - 1]
    const others = [
      ...Array.from({ length: 0x180 }, (_, code) => String.fromCharCode(code)),
      '\ud800',
      '\u2041',
      '😀',
      '',
      'AA',
      'A=',
    ]
    const told: unknown[] = []
    for (const at of places) {
      for (const other of others) {
        const changed = text.slice(0, at) + other + text.slice(at + 1)
        const [taken, expected] = [node.fromBase64url(changed), fromBase64url(changed)]
        const isSame = taken === undefined || expected === undefined ? taken === expected : Buffer.compare(taken, expected) === 0
        if (!isSame) told.push([at, other])
      }
    }
    expect(told).toEqual([])
  })
})
