/**
 * How commands show what they got, for people: aligned columns, sizes and times as one reads them.
 * @module
 */

/** Rows under a head, each column as wide as its widest cell. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((name, i) => Math.max(name.length, ...rows.map((row) => (row[i] ?? '').length)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd()
  return [head, ...rows].map((cells) => `${line(cells)}\n`).join('')
}

/** `name  value` lines. */
export function pairs(entries: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...entries.map(([name]) => name.length))
  return entries.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('')
}

/** `1 stanza`, `2 stanzas`. */
export function many(count: number, name: string): string {
  return `${count} ${name}${count === 1 ? '' : 's'}`
}

/** `1.5 MiB`. */
export function octets(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const unit = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, count)) / 10))
  const value = count / 1024 ** unit
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

/** `3 d 4 h`, `2 min`: the two largest units. */
export function duration(seconds: number): string {
  const units = [
    [86_400, 'd'],
    [3600, 'h'],
    [60, 'min'],
    [1, 's'],
  ] as const
  const at = units.findIndex(([size]) => seconds >= size)
  if (at < 0) return '0 s'
  let left = Math.floor(seconds)
  return units
    .slice(at, at + 2)
    .flatMap(([size, name]) => {
      const count = Math.floor(left / size)
      left -= count * size
      return count === 0 ? [] : [`${count} ${name}`]
    })
    .join(' ')
}

/** A time in milliseconds since 1970, to the minute. */
export function moment(ms: number | undefined): string {
  return ms === undefined ? '-' : new Date(ms).toISOString().replace('T', ' ').slice(0, 16)
}

/** Reads `30s`, `2h`, `7d`; milliseconds, or `undefined`. */
export function readDuration(text: string): number | undefined {
  const [, digits, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? []
  const sizes: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
  return digits === undefined ? undefined : Number(digits) * (sizes[unit ?? ''] ?? 0)
}
