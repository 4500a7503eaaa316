import { describe, expect, test } from 'vitest'
import { jsonLine, painter, visible } from '../src/show.ts'

describe('text of other people', () => {
  test.each([
    ['an escape sequence', '\u001b[2Jgone', '\\u{1b}[2Jgone'],
    ['a line feed and a carriage return', 'one\ntwo\r', 'one\\u{a}two\\u{d}'],
    ['a tab, a bell, a delete', '\t\u0007\u007f', '\\u{9}\\u{7}\\u{7f}'],
    ['a C1 control', '\u009b31m', '\\u{9b}31m'],
    ['line and paragraph separators', '\u2028\u2029', '\\u{2028}\\u{2029}'],
    ['bidirectional overrides and isolates', 'a\u202eb\u2066c\u2069', 'a\\u{202e}b\\u{2066}c\\u{2069}'],
    ['bidirectional marks', '\u200e\u200f\u061c', '\\u{200e}\\u{200f}\\u{61c}'],
    ['zero-width characters', 'pay\u200bpal\u200d\ufeff\u2060', 'pay\\u{200b}pal\\u{200d}\\u{feff}\\u{2060}'],
    ['tags, which hide whole texts', 'hi\u{e0041}\u{e007f}', 'hi\\u{e0041}\\u{e007f}'],
    ['annotations', '\ufff9\ufffb', '\\u{fff9}\\u{fffb}'],
  ])('shows %s', (_, text, shown) => {
    expect(visible(text)).toBe(shown)
  })

  test('is left alone otherwise', () => {
    for (const text of ['Grüße, 世界', '👋🏽', 'مرحبا', 'a\\b', ' spaces  stay ']) expect(visible(text)).toBe(text)
  })

  test('escapes nothing twice', () => {
    expect(visible(visible('\u0000'))).toBe('\\u{0}')
  })

  test('leaves nothing that moves the cursor, whatever stands in it', () => {
    const all = Array.from({ length: 0x3000 }, (_, i) => String.fromCodePoint(i)).join('')
    expect(visible(all)).not.toMatch(/\p{Cc}|\p{Bidi_Control}|[\u2028\u2029]/u)
  })
})

test('a line of JSON shows them as escapes, and reads back as what it was', () => {
  const value = { text: 'a\u202eb\u009b2J\u2028c\u{e0041}"\\u0041' }
  expect(jsonLine(value)).toBe('{"text":"a\\u202eb\\u009b2J\\u2028c\\udb40\\udc41\\"\\\\u0041"}')
  expect(JSON.parse(jsonLine(value))).toEqual(value)
})

describe('colour', () => {
  test.each([
    [true, undefined, true],
    [true, '', true],
    [true, '1', false],
    [false, undefined, false],
    [false, '', false],
  ])('on a terminal: %s, NO_COLOR: %j, painted: %s', (isTerminal, noColor, isPainted) => {
    const paint = painter({ isTerminal, noColor })
    for (const one of [paint.dim, paint.bold, paint.peer]) {
      expect(one('x').includes('\u001b')).toBe(isPainted)
      expect(one('x')).toContain('x')
    }
  })
})
