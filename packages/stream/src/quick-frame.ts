/**
 * The two frames that make up nearly all traffic, stanzas and acknowledgements, in exactly the form in which this package writes them:
 * recognized and written without a JSON parser. Whatever looks otherwise goes the general way (`frame.ts`) and means the same there.
 * @module
 */
import { type Address, type DeviceId, type StanzaId, toAddress } from '@parley/core'
import type { AckFrame, Place, StanzaEntry, StanzaFrame, StanzaHeader } from './frame.ts'

/** Addresses that a connection has read lately: it has few, and they are checked once. */
export type Memo = { addresses: Map<string, Address> | undefined }

/** Addresses remembered for one connection. */
const memoMax = 16

const plainText = /^[!#-Z^-~]*$/
const count = '(0|[1-9][0-9]{0,14})'
const text = '([!#-Z^-~]{1,320})'
const uuid = '(urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})'
const device = '([A-Za-z0-9_-]{43})'
const stanzaForm = new RegExp(
  `^\\{"c":${count},"n":${count},"entries":\\[\\["(\\*|[A-Za-z0-9_-]{43})",${count}\\]\\],"t":"stanza","id":"${uuid}","from":"${text}",` +
    `"device":"${device}","to":\\["${text}"\\],"class":"durable","sent":${count},"expiry":${count}\\}$`,
)
const ackForm = new RegExp(
  `^\\{"t":"ack","epoch":"([A-Za-z0-9_-]{1,64})",(?:"after":${count},)?"h":${count}(?:,"cards":\\{"${text}":${count}\\})?\\}$`,
)

/** A stanza of one recipient with one entry, or `undefined` when the header has another form. */
export function readQuickStanza(header: string, payload: Uint8Array, memo: Memo): StanzaFrame | undefined {
  const match = stanzaForm.exec(header)
  if (match === null) return undefined
  const from = addressOf(match[6] as string, memo)
  const to = addressOf(match[8] as string, memo)
  const [c, n, length] = [Number(match[1]), Number(match[2]), Number(match[4])]
  if (from === undefined || to === undefined || c < 1 || n < 1 || length > payload.length) return undefined
  return {
    t: 'stanza',
    place: { c, n },
    header: {
      // Brands: the pattern is that of their parsers.
      id: match[5] as StanzaId,
      from,
      device: match[7] as DeviceId,
      to: [to],
      class: 'durable',
      sent: Number(match[9]),
      expiry: Number(match[10]),
    },
    entries: [{ device: match[3] as DeviceId | '*', octets: payload.subarray(0, length) }],
    body: payload.subarray(length),
  }
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

/** An acknowledgement without bounces, or `undefined` when something in it would need an escape. */
export function writeQuickAck({ epoch, after, h, cards, bounced }: AckFrame): Uint8Array | undefined {
  if (bounced !== undefined || !plainText.test(epoch)) return undefined
  let list = ''
  for (const address in cards) {
    if (!plainText.test(address)) return undefined
    list += `${list === '' ? ',"cards":{' : ','}"${address}":${cards[address]}`
  }
  if (list !== '') list += '}'
  return joinFrame(`{"t":"ack","epoch":"${epoch}",${after === undefined ? '' : `"after":${after},`}"h":${h}${list}}`, [])
}

function addressOf(value: string, memo: Memo): Address | undefined {
  const known = memo.addresses?.get(value)
  if (known !== undefined) return known
  const address = toAddress(value)
  if (address !== value) return undefined
  // None before the first: most connections do nothing for long.
  memo.addresses ??= new Map()
  if (memo.addresses.size >= memoMax) memo.addresses.clear()
  memo.addresses.set(value, address)
  return address
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

/** A frame out of an ASCII header and the parts of its payload. */
export function joinFrame(header: string, payload: readonly Uint8Array[]): Uint8Array {
  let length = header.length + 1
  for (const part of payload) length += part.length
  const frame = new Uint8Array(length)
  encoder.encodeInto(header, frame)
  frame[header.length] = lineFeed
  let at = header.length + 1
  for (const part of payload) {
    frame.set(part, at)
    at += part.length
  }
  return frame
}
