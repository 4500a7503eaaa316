import { describe, expect, it } from 'vitest'
import { duration, moment, octets, pairs, readDuration, table } from '../src/show.ts'

describe('what commands show', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [200 * 1024 * 1024, '200 MiB'],
    [5 * 1024 ** 4, '5.0 TiB'],
    [5000 * 1024 ** 4, '5000 TiB'],
  ])('%d octets are %s', (count, text) => {
    expect(octets(count)).toBe(text)
  })

  it.each([
    [0, '0 s'],
    [59, '59 s'],
    [60, '1 min'],
    [3661, '1 h 1 min'],
    [90_000, '1 d 1 h'],
    [86_405, '1 d'],
  ])('%d seconds are %s', (seconds, text) => {
    expect(duration(seconds)).toBe(text)
  })

  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
    ['7', undefined],
    ['-7d', undefined],
    ['d', undefined],
    ['7 d', undefined],
  ])('%j is %s ms', (text, ms) => {
    expect(readDuration(text)).toBe(ms)
  })

  it('stands in columns, without blanks at the end of a line', () => {
    expect(table(['a', 'long name'], [['value', 'x']])).toBe('a      long name\nvalue  x\n')
    expect(
      pairs([
        ['name', 'x'],
        ['n', 'y'],
      ]),
    ).toBe('name  x\nn     y\n')
    expect(moment(0)).toBe('1970-01-01 00:00')
    expect(moment(undefined)).toBe('-')
  })
})
