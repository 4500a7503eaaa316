import { describe, expect, test } from 'vitest'
import { defineMessage, KernelError, readBody } from '../src/index.ts'
import { asynchronous, object, schema } from './schema.ts'

const text = defineMessage({ type: 'urn:test:a:1:text', body: object({ text: 'string' }), bytesMax: 100 })

describe('a message definition', () => {
  test('makes messages out of bodies that fit', () => {
    expect(text({ text: 'hi' })).toEqual({ type: 'urn:test:a:1:text', body: { text: 'hi' } })
    expect(text({ text: 'hi' }, { referentId: 'r', threadId: 't' })).toMatchObject({ referentId: 'r', threadId: 't' })
  })

  const refusals: [string, unknown, string][] = [
    ['another type', { text: 1 }, 'ERR_KERNEL_BODY_INVALID'],
    ['a member too many', { text: '', more: 1 }, 'ERR_KERNEL_BODY_INVALID'],
    ['an array', [], 'ERR_KERNEL_BODY_INVALID'],
    ['no object', 'hi', 'ERR_KERNEL_BODY_INVALID'],
    ['what JSON cannot hold', { text: () => {} }, 'ERR_KERNEL_BODY_INVALID'],
    ['too many octets', { text: 'x'.repeat(101) }, 'ERR_KERNEL_BODY_TOO_LARGE'],
    ['too many octets in few characters', { text: '€'.repeat(40) }, 'ERR_KERNEL_BODY_TOO_LARGE'],
  ]
  for (const [what, body, code] of refusals) {
    test(`refuses ${what}`, () => {
      expect(() => text(body as never)).toThrow(expect.objectContaining({ code, name: 'KernelError' }))
    })
  }

  test('refuses a type that is no absolute URI', () => {
    for (const type of ['', 'text', 'a b:c', 'urn:white space'])
      expect(() => defineMessage({ type, body: object({}) }), type).toThrow(TypeError)
  })

  test('sends the input and reads the output of a schema', () => {
    const count = defineMessage({
      type: 'urn:test:a:1:count',
      body: schema<{ n?: number }, { n: number }>((value) => ({ n: (value as { n?: number }).n ?? 7 })),
    })
    expect(count({}).body).toEqual({})
    expect(readBody(count, {})).toEqual({ ok: true, body: { n: 7 } })
  })
})

describe('a schema that answers with a Promise', () => {
  test('is refused where it is defined', () => {
    expect(() => defineMessage({ type: 'urn:a:b', body: asynchronous(async () => ({ value: {} })) })).toThrow(
      expect.objectContaining({ code: 'ERR_KERNEL_SCHEMA_ASYNCHRONOUS' }),
    )
  })

  test('is refused when it shows later, and its rejection is nobody’s', () => {
    let late = false
    const sly = defineMessage({
      type: 'urn:a:b',
      body: {
        '~standard': {
          version: 1 as const,
          vendor: 'test',
          validate: (value: unknown) => (late ? Promise.reject(new Error('late')) : { value }),
        },
      },
    })
    late = true
    expect(readBody(sly, {})).toEqual({ ok: false, code: 'schema-asynchronous' })
    expect(() => sly({})).toThrow(KernelError)
  })
})

test('a schema that throws refuses the body', () => {
  const broken = defineMessage({
    type: 'urn:a:b',
    body: schema<object>((value) => {
      if ('bad' in (value as object)) throw new Error('inside')
      return value as object
    }),
  })
  expect(readBody(broken, { bad: 1 })).toEqual({ ok: false, code: 'body-invalid' })
})
