/**
 * Stanzas in a relay's logs: the header without place and entries, and per reader the entries that are its own. A frame is
 * put together from them without parsing anything; the body is copied once, into the frame.
 * @module
 */
import { concat, isJsonObject, type JsonObject, parseJson, writeAscii } from '@parley/core'
import type { Place, StanzaEntry, StanzaHeader } from './frame.ts'
import { entriesText, placeLength, writePlace } from './quick-frame.ts'
import { allocate } from './slab.ts'

const lineFeed = 0x0a
const comma = 0x2c
const openBrace = Uint8Array.of(0x7b)

/**
 * The header as it is stored: shared by all readers. It is what `headerText` writes, in braces; or, cut out of a frame as it is
 * (`StanzaFrame.packed`), with a comma in place of the first. Piece by piece, because a text that is put together and thrown away was a
 * tenth of what a stanza leaves to the garbage collector.
 */
export function packHeader({ id, from, device, to, class: stanzaClass, sent, expiry }: StanzaHeader): Uint8Array {
  const names = to.length === 1 ? (to[0] as string) : to.join('","')
  const [sentText, expiryText] = [String(sent), String(expiry)]
  const values = id.length + from.length + device.length + names.length + stanzaClass.length + sentText.length + expiryText.length
  const octets = allocate(namesLength + values)
  let at = writeAscii('{"t":"stanza","id":"', octets, 0)
  at = writeAscii(id, octets, at)
  at = writeAscii('","from":"', octets, at)
  at = writeAscii(from, octets, at)
  at = writeAscii('","device":"', octets, at)
  at = writeAscii(device, octets, at)
  at = writeAscii('","to":["', octets, at)
  at = writeAscii(names, octets, at)
  at = writeAscii('"],"class":"', octets, at)
  at = writeAscii(stanzaClass, octets, at)
  at = writeAscii('","sent":', octets, at)
  at = writeAscii(sentText, octets, at)
  at = writeAscii(',"expiry":', octets, at)
  at = writeAscii(expiryText, octets, at)
  octets[at] = 0x7d
  return octets
}

/** What a stored header of empty values takes. */
const namesLength = '{"t":"stanza","id":"","from":"","device":"","to":[""],"class":"","sent":,"expiry":}'.length

/** Some entries as they are stored: their list on one line, then their octets. */
export function packEntries(entries: readonly StanzaEntry[]): Uint8Array {
  const list = entriesText(entries)
  let length = list.length + 1
  for (const { octets } of entries) length += octets.length
  const packed = allocate(length)
  let at = writeAscii(list, packed, 0)
  packed[at++] = lineFeed
  for (const { octets } of entries) {
    packed.set(octets, at)
    at += octets.length
  }
  return packed
}

/** What a log holds of a stanza. */
export type StoredStanza = { readonly header: Uint8Array; readonly entry: Uint8Array; readonly body: Uint8Array }

/** The stanza's frame at its place in a stream. */
export function unpackFrame(stored: StoredStanza, place: Place): Uint8Array {
  const { header, entry, body } = stored
  const end = entry.indexOf(lineFeed)
  const first = placeLength(place)
  const frame = allocate(first + header.length + entry.length + body.length)
  // Written from behind, each part whole: what stands too far left of an entry or a header is written over. Views would be garbage.
  const at = first + end
  frame.set(body, at + header.length + entry.length - end)
  frame.set(entry, at + header.length - end)
  frame.set(header, at)
  // In place of the brace, if it begins with one.
  frame[at] = comma
  for (let i = 0; i < end; i++) frame[first + i] = entry[i] as number
  writePlace(place, frame)
  return frame
}

/** The members of a stored header, for those who must know them: a bounce, a trace. */
export function unpackHeader(stored: Uint8Array): JsonObject {
  const parsed = parseJson(stored[0] === comma ? concat(openBrace, stored.subarray(1)) : stored)
  return parsed.ok && isJsonObject(parsed.value) ? parsed.value : {}
}
