import { describe, expect, it } from 'vitest'
import {
  domainOf,
  fromImUri,
  isMessagingError,
  parseAddress,
  toAddress,
  toImUri,
  toMessageId,
  uuidUrnFrom,
} from '../src/index.ts'

describe('address', () => {
  it.each(['alice@a.example', 'a.b-c+d@localhost:4000', 'x@a.localhost'])('takes %s', (text) =>
    expect(toAddress(text)).toBe(text),
  )
  it('folds case', () => expect(toAddress('Alice@A.Example')).toBe('alice@a.example'))
  it.each([
    '',
    'a',
    '@a',
    'a@',
    'a b@c',
    'a@b@c',
    'a@b/c',
    'a@-b',
    'a@b:0',
    'a@b:99999999',
    'ä@b',
    `${'x'.repeat(65)}@b`,
    'a@b\n',
    'a@b..c',
  ])('refuses %j', (text) => expect(toAddress(text)).toBeUndefined())
  it('round trips through its URI', () => {
    const address = parseAddress('alice@a.example')
    expect(fromImUri(toImUri(address))).toBe(address)
    expect(fromImUri('mailto:alice@a.example')).toBeUndefined()
    expect(domainOf(address)).toBe('a.example')
  })
  it('throws a coded error on request', () => {
    try {
      parseAddress('no')
      expect.unreachable()
    } catch (error) {
      expect(isMessagingError(error) && error.code).toBe('ERR_CORE_ADDRESS_MALFORMED')
    }
  })
})

it('makes version 4 UUID URNs', () => {
  expect(uuidUrnFrom(new Uint8Array(16).fill(255))).toBe('urn:uuid:ffffffff-ffff-4fff-bfff-ffffffffffff')
  expect(toMessageId(uuidUrnFrom(new Uint8Array(16)))).toBe('urn:uuid:00000000-0000-4000-8000-000000000000')
  expect(toMessageId('urn:uuid:00000000-0000-1000-8000-000000000000')).toBeUndefined()
})
