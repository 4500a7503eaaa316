/**
 * The two frames that make up nearly all traffic, stanzas and acknowledgements, in exactly the form in which this package writes them:
 * recognized and written without a JSON parser. Whatever looks otherwise goes the general way (`frame.ts`) and means the same there.
 * @module
 */
import { type Address, type DeviceId, digitsIn, type StanzaId, toAddress, writeAscii, writeDigits } from '@parley/core'
import type { AckFrame, Place, StanzaEntry, StanzaFrame, StanzaHeader } from './frame.ts'
import { allocate } from './slab.ts'

/** From whom and to whom a stanza goes, as the middle of its header says it. */
type Middle = { readonly text: string; readonly from: Address; readonly device: DeviceId; readonly to: readonly Address[] }

/** Middles that a connection has read lately: most of its stanzas have one of a few, and each is read and checked once. */
export type Memo = { middles: Middle[] | undefined }

/** Middles remembered for one connection. */
const memoMax = 16

const plainText = /^[!#-Z^-~]*$/
const text = '([!#-Z^-~]{1,320})'
const count = '(0|[1-9][0-9]{0,14})'
const uuidForm = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/y
const deviceForm = /[A-Za-z0-9_-]{43}/y
const middleForm = new RegExp(
  `","from":"${text}","device":"([A-Za-z0-9_-]{43})","to":\\["${text}"\\],"class":"durable","sent":`,
  'y',
)
const ackForm = new RegExp(
  `^\\{"t":"ack","epoch":"([A-Za-z0-9_-]{1,64})",(?:"after":${count},)?"h":${count}(?:,"cards":\\{"${text}":${count}\\})?\\}$`,
)

// What stands between the values of a header, in this order.
const [openC, openN, openEntries, openName, openLength] = ['{"c":', ',"n":', ',"entries":', ',"entries":[["', '",']
const [openId, urn, openExpiry] = [']],"t":"stanza","id":"', 'urn:uuid:', ',"expiry":']
const [uuidLength, deviceLength] = [36, 43]

/**
 * A stanza of one recipient with one entry, or `undefined` when the header has another form. `header` is the text of the first
 * octets of `frame`, before the line feed.
 */
export function readQuickStanza(header: string, frame: Uint8Array, memo: Memo): StanzaFrame | undefined {
  if (!header.startsWith(openC)) return undefined
  const endOfC = digitsEnd(header, openC.length)
  if (!header.startsWith(openN, endOfC)) return undefined
  const endOfN = digitsEnd(header, endOfC + openN.length)
  if (!header.startsWith(openName, endOfN)) return undefined
  const name = endOfN + openName.length
  const isForAll = header.charCodeAt(name) === asterisk
  if (!isForAll && !stands(deviceForm, header, name)) return undefined
  const endOfName = name + (isForAll ? 1 : deviceLength)
  if (!header.startsWith(openLength, endOfName)) return undefined
  const endOfLength = digitsEnd(header, endOfName + openLength.length)
  const idAt = endOfLength + openId.length
  if (!header.startsWith(openId, endOfLength) || !header.startsWith(urn, idAt)) return undefined
  if (!stands(uuidForm, header, idAt + urn.length)) return undefined
  const endOfId = idAt + urn.length + uuidLength
  const middle = middleAt(header, endOfId, memo)
  if (middle === undefined) return undefined
  const sentAt = endOfId + middle.text.length
  const endOfSent = digitsEnd(header, sentAt)
  if (!header.startsWith(openExpiry, endOfSent)) return undefined
  const expiryAt = endOfSent + openExpiry.length
  const endOfExpiry = digitsEnd(header, expiryAt)
  if (header.charCodeAt(endOfExpiry) !== endBrace || endOfExpiry + 1 !== header.length) return undefined

  const c = countIn(header, openC.length, endOfC)
  const n = countIn(header, endOfC + openN.length, endOfN)
  const length = countIn(header, endOfName + openLength.length, endOfLength)
  const sent = countIn(header, sentAt, endOfSent)
  const expiry = countIn(header, expiryAt, endOfExpiry)
  const bodyAt = header.length + 1 + length
  if (c < 1 || n < 1 || length < 0 || sent < 0 || expiry < 0 || bodyAt > frame.length) return undefined
  return {
    t: 'stanza',
    place: { c, n },
    header: {
      // Brands: the patterns are those of their parsers.
      id: header.slice(idAt, endOfId) as StanzaId,
      from: middle.from,
      device: middle.device,
      to: middle.to,
      class: 'durable',
      sent,
      expiry,
    },
    entries: [
      {
        device: isForAll ? '*' : (header.slice(name, endOfName) as DeviceId),
        octets: frame.subarray(header.length + 1, bodyAt),
      },
    ],
    body: frame.subarray(bodyAt),
    packed: frame.subarray(endOfLength + 2, header.length),
  }
}

const [asterisk, quote, endBrace, zero, nine] = [0x2a, 0x22, 0x7d, 0x30, 0x39]

function stands(form: RegExp, header: string, at: number): boolean {
  form.lastIndex = at
  return form.test(header)
}

function digitsEnd(header: string, at: number): number {
  let end = at
  for (; ; end++) {
    const code = header.charCodeAt(end)
    if (!(code >= zero && code <= nine)) return end
  }
}

/** The number between two places, or -1: none, longer than fifteen digits, or with a zero in front. */
function countIn(header: string, at: number, end: number): number {
  if (end === at || end - at > 15 || (end - at > 1 && header.charCodeAt(at) === zero)) return -1
  let value = 0
  for (let i = at; i < end; i++) value = value * 10 + header.charCodeAt(i) - zero
  return value
}

function middleAt(header: string, at: number, memo: Memo): Middle | undefined {
  if (memo.middles !== undefined) for (const middle of memo.middles) if (header.startsWith(middle.text, at)) return middle
  middleForm.lastIndex = at
  const match = middleForm.exec(header)
  if (match === null) return undefined
  const [all, fromText = '', deviceText = '', toText = ''] = match
  const from = toAddress(fromText)
  const to = toAddress(toText)
  if (from !== fromText || to !== toText) return undefined
  // A brand: the pattern is that of its parser.
  const middle = { text: all, from, device: deviceText as DeviceId, to: [to] }
  // None before the first: most connections do nothing for long.
  memo.middles ??= []
  if (memo.middles.length >= memoMax) memo.middles.length = 0
  memo.middles.push(middle)
  return middle
}

/** An acknowledgement that tells of no bounces and of at most one card, or `undefined` when the header has another form. */
export function readQuickAck(header: string): AckFrame | undefined {
  const match = ackForm.exec(header)
  if (match === null) return undefined
  const [, epoch = '', after, h, address, version] = match
  return {
    t: 'ack',
    epoch,
    h: Number(h),
    ...(after === undefined ? {} : { after: Number(after) }),
    ...(address === undefined ? {} : { cards: { [address]: Number(version) } }),
  }
}

const [ackOpen, ackAfter, ackHandled, ackCards] = ['{"t":"ack","epoch":"', ',"after":', ',"h":', ',"cards":{']

/**
 * An acknowledgement without bounces, or `undefined` when something in it would need an escape. Octet by octet: each stanza is
 * acknowledged by somebody, and the texts in between were garbage.
 */
export function writeQuickAck({ epoch, after, h, cards, bounced }: AckFrame): Uint8Array | undefined {
  if (bounced !== undefined || !plainText.test(epoch)) return undefined
  let length = ackOpen.length + epoch.length + 1 + ackHandled.length + digitsIn(h) + 2
  if (after !== undefined) length += ackAfter.length + digitsIn(after)
  let isFirst = true
  for (const address in cards) {
    if (!plainText.test(address)) return undefined
    length += (isFirst ? ackCards.length + 1 : 1) + address.length + 3 + digitsIn(cards[address] as number)
    isFirst = false
  }
  const frame = allocate(length)
  let at = writeAscii(epoch, frame, writeAscii(ackOpen, frame, 0))
  frame[at++] = quote
  if (after !== undefined) at = writeDigits(after, frame, writeAscii(ackAfter, frame, at))
  at = writeDigits(h, frame, writeAscii(ackHandled, frame, at))
  isFirst = true
  for (const address in cards) {
    at = writeAscii(isFirst ? ackCards : ',', frame, at)
    frame[at++] = quote
    at = writeAscii('":', frame, writeAscii(address, frame, at))
    at = writeDigits(cards[address] as number, frame, at)
    isFirst = false
  }
  if (!isFirst) frame[at++] = endBrace
  frame[at++] = endBrace
  frame[at] = lineFeed
  return frame
}

/** The list of entries in a header. */
export function entriesText(entries: readonly StanzaEntry[]): string {
  let list = ''
  for (const { device: name, octets } of entries) list += `${list === '' ? '' : ','}["${name}",${octets.length}]`
  return `[${list}]`
}

/** The members of a stanza's header but its place and entries, without the braces. All values are of alphabets that need no escape. */
export function headerText({ id, from, device: sender, to, class: stanzaClass, sent, expiry }: StanzaHeader): string {
  const names = to.length === 1 ? to[0] : to.join('","')
  return `"t":"stanza","id":"${id}","from":"${from}","device":"${sender}","to":["${names}"],"class":"${stanzaClass}","sent":${sent},"expiry":${expiry}`
}

/** The first members of a stanza's header. */
export function placeText({ c, n }: Place): string {
  return n === undefined ? `{"c":${c},"entries":` : `{"c":${c},"n":${n},"entries":`
}

const encoder = new TextEncoder()
const lineFeed = 0x0a

/** Writes what `placeText` says, and answers where it ends. */
export function writePlace({ c, n }: Place, target: Uint8Array): number {
  const at = writeDigits(c, target, writeAscii(openC, target, 0))
  return writeAscii(openEntries, target, n === undefined ? at : writeDigits(n, target, writeAscii(openN, target, at)))
}

/** Octets of what `placeText` says. */
export function placeLength({ c, n }: Place): number {
  const length = openC.length + digitsIn(c) + openEntries.length
  return n === undefined ? length : length + openN.length + digitsIn(n)
}

/** A frame out of an ASCII header and the parts of its payload. */
export function joinFrame(header: string, payload: readonly Uint8Array[]): Uint8Array {
  let length = header.length + 1
  for (const part of payload) length += part.length
  const frame = allocate(length)
  encoder.encodeInto(header, frame)
  frame[header.length] = lineFeed
  let at = header.length + 1
  for (const part of payload) {
    frame.set(part, at)
    at += part.length
  }
  return frame
}
