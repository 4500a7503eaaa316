/**
 * Stanzas in a relay's logs: the header without place and entries, and per reader the entries that are its own. A frame is
 * put together from them without parsing anything; the body is copied once, into the frame.
 * @module
 */
import { concat, isJsonObject, type JsonObject, parseJson, utf8 } from '@parley/core'
import type { Place, StanzaEntry, StanzaHeader } from './frame.ts'

const lineFeed = 0x0a

/** The header as it is stored: shared by all readers. */
export function packHeader(header: StanzaHeader): Uint8Array {
  return utf8(JSON.stringify({ t: 'stanza', ...header }))
}

/** Some entries as they are stored: their list on one line, then their octets. */
export function packEntries(entries: readonly StanzaEntry[]): Uint8Array {
  const list = entries.map(({ device, octets }) => [device, octets.length])
  return concat(utf8(`${JSON.stringify(list)}\n`), ...entries.map(({ octets }) => octets))
}

/** What a log holds of a stanza. */
export type StoredStanza = { readonly header: Uint8Array; readonly entry: Uint8Array; readonly body: Uint8Array }

/** The stanza's frame at its place in a stream. */
export function unpackFrame(stored: StoredStanza, place: Place): Uint8Array {
  const end = stored.entry.indexOf(lineFeed)
  const list = stored.entry.subarray(0, end)
  const numbers = place.n === undefined ? `{"c":${place.c},` : `{"c":${place.c},"n":${place.n},`
  // The stored header begins with its own brace.
  return concat(utf8(`${numbers}"entries":`), list, utf8(','), stored.header.subarray(1), stored.entry.subarray(end), stored.body)
}

/** The members of a stored header, for those who must know them: a bounce, a trace. */
export function unpackHeader(stored: Uint8Array): JsonObject {
  const parsed = parseJson(stored)
  return parsed.ok && isJsonObject(parsed.value) ? parsed.value : {}
}
