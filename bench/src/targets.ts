/**
 * What the envelope is to reach, as data: each target names a figure of one case and a bound.
 * @module
 */
import type { Curve } from './work.ts'

export type Figures = {
  readonly curve: Curve
  readonly recipients: number
  readonly payloadBytes: number
  readonly operation: 'seal' | 'open'
  /** Milliseconds by contestant. */
  readonly ms: Readonly<Record<string, number>>
  readonly bytes: Readonly<Record<string, number>>
}

export type Outcome = {
  readonly target: string
  readonly bound: number
  readonly atMost: boolean
  readonly figure: number
  readonly met: boolean
}

const small = 256
const large = 256 * 1024

// [operation, recipients, ratio to npm jose], with X25519 and 256 octets.
const smallRatios = [
  ['seal', 1, 8],
  ['seal', 10, 6],
  ['seal', 100, 8],
  ['seal', 1000, 8],
  ['open', 1, 5],
  ['open', 100, 5],
  ['open', 1000, 10],
] as const

/** Every target whose case was measured, with its figure; `session` holds milliseconds by task. */
export function outcomes(all: readonly Figures[], session: ReadonlyMap<string, number>): readonly Outcome[] {
  const found: Outcome[] = []
  const least = (target: string, bound: number, figure: number | undefined): void => {
    if (figure !== undefined) found.push({ target, bound, atMost: false, figure, met: figure >= bound })
  }
  const most = (target: string, bound: number, figure: number | undefined): void => {
    if (figure !== undefined) found.push({ target, bound, atMost: true, figure, met: figure <= bound })
  }
  const at = (curve: Curve, recipients: number, payloadBytes: number, operation: Figures['operation']): Figures | undefined =>
    all.find(
      (one) =>
        one.curve === curve && one.recipients === recipients && one.payloadBytes === payloadBytes && one.operation === operation,
    )

  for (const [operation, recipients, bound] of smallRatios) {
    const figures = at('X25519', recipients, small, operation)
    least(`${operation} 256 B for ${recipients}: npm jose / parley JSON`, bound, ratio(figures, 'npm jose', 'parley JSON'))
  }
  for (const operation of ['seal', 'open'] as const) {
    const figures = at('X25519', 1, large, operation)
    least(`${operation} 256 KiB for 1: npm jose / parley JSON`, 3, ratio(figures, 'npm jose', 'parley JSON'))
    least(`${operation} 256 KiB for 1: npm jose / parley binary`, 6, ratio(figures, 'npm jose', 'parley binary'))
  }
  for (const figures of all) {
    const { curve, recipients, payloadBytes, operation } = figures
    const name = `${operation} ${sizeName(payloadBytes)} for ${recipients} on ${curve}`
    least(`${name}: bare noble / parley noble`, 0.9, ratio(figures, 'bare noble', 'parley noble'))
    least(`${name}: bare JSON / parley JSON`, 0.85, ratio(figures, 'bare JSON', 'parley JSON'))
    least(`${name}: bare binary / parley binary`, 0.95, ratio(figures, 'bare binary', 'parley binary'))
    if (curve === 'P-256' && payloadBytes === small) {
      least(`${name}: npm jose / parley JSON`, 4, ratio(figures, 'npm jose', 'parley JSON'))
    }
  }
  const one = at('X25519', 1, small, 'seal')?.bytes
  if (one !== undefined) most('octets for 1, more than npm jose', 96, (one['parley JSON'] ?? 0) - (one['npm jose'] ?? 0))
  const hundred = at('X25519', 100, small, 'seal')?.bytes
  if (hundred !== undefined) {
    for (const form of ['JSON', 'binary'])
      most(`octets for 100 in ${form}, part of npm jose`, 0.6, (hundred[`parley ${form}`] ?? 0) / (hundred['npm jose'] ?? 1))
  }
  const big = at('X25519', 1, large, 'seal')?.bytes
  if (big !== undefined) most('octets of 256 KiB in binary, times the plaintext', 1.36, (big['parley binary'] ?? 0) / large)
  const [few, many, libsignal] = ['parley, 2 readers', 'parley, 1000 readers', 'libsignal sender key'].map((name) =>
    session.get(name),
  )
  if (few !== undefined && many !== undefined) most('session message for 1000 readers, times that for 2', 1.1, many / few)
  if (few !== undefined && libsignal !== undefined) least('session message: libsignal sender key / parley', 1, libsignal / few)
  return found
}

/** How often the second goes into the first. */
export function ratio(figures: Figures | undefined, numerator: string, denominator: string): number | undefined {
  const [a, b] = [figures?.ms[numerator], figures?.ms[denominator]]
  return a === undefined || b === undefined ? undefined : a / b
}

export function sizeName(bytes: number): string {
  return bytes >= 1024 ? `${bytes / 1024} KiB` : `${bytes} B`
}
