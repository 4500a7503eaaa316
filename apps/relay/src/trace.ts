/**
 * The trace of the wire for development and demonstrations: one JSON line per frame with its header and the first octets of what
 * follows. It names addresses and devices, so it is off unless asked for. Written at once, so that a killed process leaves it whole.
 * @module
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import { base64url, fromUtf8 } from '@parley/core'
import type { OnWire } from '@parley/relay'

export type Trace = { readonly onWire: OnWire; close(): void }

export type TraceOptions = {
  /** Octets of payload and body to keep; 0 keeps all. */
  readonly octets: number
  now(): number
}

/** Appends to `file`, which only its owner may read. */
export function openTrace(file: string, options: TraceOptions): Trace {
  const descriptor = openSync(file, 'a', 0o600)
  let isOpen = true
  return {
    onWire(direction, frame, { kind, name }) {
      // A connection that is being closed may still bring frames.
      if (!isOpen) return
      const line = { at: options.now(), direction, kind, name, ...describeFrame(frame, options.octets) }
      writeSync(descriptor, `${JSON.stringify(line)}\n`)
    },
    close() {
      isOpen = false
      closeSync(descriptor)
    },
  }
}

/** What a trace tells of a frame: its header, the sizes, and the first octets of its payload and of a stanza's body. */
export function describeFrame(frame: Uint8Array, octets: number): Record<string, unknown> {
  const end = frame.indexOf(0x0a)
  const payload = end < 0 ? frame : frame.subarray(end + 1)
  const header = end < 0 ? undefined : parseHeader(frame.subarray(0, end))
  const cut = (bytes: Uint8Array): string => base64url(octets === 0 ? bytes : bytes.subarray(0, octets))
  const told = { bytes: frame.length, header: header ?? null, payload_bytes: payload.length, payload: cut(payload) }
  const entries = header?.['entries']
  if (!Array.isArray(entries)) return told
  const before = entries.reduce(
    (sum: number, entry: unknown) => sum + (Array.isArray(entry) && typeof entry[1] === 'number' ? entry[1] : 0),
    0,
  )
  const body = payload.subarray(before)
  return { ...told, body_bytes: body.length, body: cut(body) }
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(fromUtf8(bytes) ?? '')
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
