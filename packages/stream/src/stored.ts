/**
 * Stanzas in a relay's logs: the header without place and entries, and per reader the entries that are its own. A frame is
 * put together from them without parsing anything; the body is copied once, into the frame.
 * @module
 */
import { isJsonObject, type JsonObject, parseJson, utf8Into, writeAscii } from '@parley/core'
import type { Place, StanzaEntry, StanzaHeader } from './frame.ts'
import { entriesText, headerText, joinFrame, placeText } from './quick-frame.ts'

const lineFeed = 0x0a
const comma = 0x2c

/** The header as it is stored: shared by all readers. */
export function packHeader(header: StanzaHeader): Uint8Array {
  // ASCII, as every member of a header is.
  const text = `{${headerText(header)}}`
  const octets = new Uint8Array(text.length)
  utf8Into(text, octets)
  return octets
}

/** Some entries as they are stored: their list on one line, then their octets. */
export function packEntries(entries: readonly StanzaEntry[]): Uint8Array {
  return joinFrame(
    entriesText(entries),
    entries.map(({ octets }) => octets),
  )
}

/** What a log holds of a stanza. */
export type StoredStanza = { readonly header: Uint8Array; readonly entry: Uint8Array; readonly body: Uint8Array }

/** The stanza's frame at its place in a stream. */
export function unpackFrame(stored: StoredStanza, place: Place): Uint8Array {
  const { header, entry, body } = stored
  const end = entry.indexOf(lineFeed)
  const numbers = placeText(place)
  const frame = new Uint8Array(numbers.length + header.length + entry.length + body.length)
  // Written from behind, each part whole: what stands too far left of an entry or a header is written over. Views would be garbage.
  const at = numbers.length + end
  frame.set(body, at + header.length + entry.length - end)
  frame.set(entry, at + header.length - end)
  frame.set(header, at)
  // The stored header begins with its own brace.
  frame[at] = comma
  for (let i = 0; i < end; i++) frame[numbers.length + i] = entry[i] as number
  writeAscii(numbers, frame, 0)
  return frame
}

/** The members of a stored header, for those who must know them: a bounce, a trace. */
export function unpackHeader(stored: Uint8Array): JsonObject {
  const parsed = parseJson(stored)
  return parsed.ok && isJsonObject(parsed.value) ? parsed.value : {}
}
