/**
 * The language between a running relay and its commands: one JSON object a line, a request and its answer, over a Unix socket in the data
 * folder that only its owner may open.
 * @module
 */
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { isJsonObject, type Json, type JsonObject, parseJson, utf8 } from '@parley/core'

export type ControlRequest = { readonly do: string; readonly with: JsonObject }
export type ControlAnswer =
  | { readonly ok: true; readonly value: Json }
  | { readonly ok: false; readonly code: string; readonly message: string }

/** What one connection may hold and how long it may say nothing. */
export const controlLimits = {
  requestBytesMax: 64 * 1024,
  answerBytesMax: 16 * 1024 * 1024,
  connectionsMax: 16,
  idleMs: 60_000,
} as const

// sun_path of the systems that Node runs on: 104 octets on the shortest, one of them the zero at the end.
const pathOctetsMax = 103

export function controlPath(data: string): string {
  return join(data, 'control.sock')
}

/** Tells whether a socket can have this path. */
export function fitsSocket(path: string): boolean {
  return Buffer.byteLength(path) <= pathOctetsMax
}

/** Calls `onLine` for every line; ends the connection when one is longer than it may be. */
export function readLines(socket: Socket, options: { readonly bytesMax: number; onLine(line: Uint8Array): void }): void {
  let parts: Buffer[] = []
  let length = 0
  socket.on('data', (chunk: Buffer) => {
    let rest = chunk
    for (;;) {
      const end = rest.indexOf(0x0a)
      const part = end < 0 ? rest : rest.subarray(0, end)
      length += part.length
      if (length > options.bytesMax) {
        socket.destroy()
        return
      }
      parts.push(part)
      if (end < 0) return
      const line = Buffer.concat(parts)
      parts = []
      length = 0
      options.onLine(line)
      rest = rest.subarray(end + 1)
    }
  })
}

export function writeLine(value: ControlRequest | ControlAnswer): Uint8Array {
  return utf8(`${JSON.stringify(value)}\n`)
}

export function readRequest(line: Uint8Array): ControlRequest | undefined {
  const parsed = parseJson(line)
  if (!parsed.ok || !isJsonObject(parsed.value)) return undefined
  const { do: name, with: given = {} } = parsed.value
  return typeof name === 'string' && isJsonObject(given) ? { do: name, with: given } : undefined
}

export function readAnswer(line: Uint8Array): ControlAnswer | undefined {
  const parsed = parseJson(line)
  if (!parsed.ok || !isJsonObject(parsed.value)) return undefined
  const { ok, value, code, message } = parsed.value
  if (ok === true && value !== undefined) return { ok, value }
  return ok === false && typeof code === 'string' && typeof message === 'string' ? { ok, code, message } : undefined
}
