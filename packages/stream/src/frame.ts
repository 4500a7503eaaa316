/**
 * Frames, the messages of a hop (design §5): a JSON header on one line, then a payload that the header accounts for.
 * Members of the header that this version does not know are ignored; a frame whose `t` it does not know is refused,
 * because what it would have to do is unknown.
 * @module
 */
import {
  type Address,
  concat,
  type DeviceId,
  fromUtf8,
  isJsonObject,
  type Json,
  type JsonObject,
  parseJsonObject,
  type Result,
  type StanzaId,
  toAddress,
  toDeviceId,
  toStanzaId,
  utf8,
} from '@parley/core'
import { isCode } from './codes.ts'
import { type StreamLimits, streamLimits } from './limits.ts'
import {
  entriesText,
  headerText,
  joinFrame,
  type Memo,
  placeText,
  readQuickAck,
  readQuickStanza,
  writeQuickAck,
} from './quick-frame.ts'
import { readSuccessions, type Succession } from './relay-key-succession.ts'

/** `durable` is stored until it is acknowledged; `ephemeral` goes to who is there, or nowhere. */
export type StanzaClass = 'durable' | 'ephemeral'

/** What travels with a stanza in clear. */
export type StanzaHeader = {
  readonly id: StanzaId
  readonly from: Address
  readonly device: DeviceId
  /** Accounts of one domain. */
  readonly to: readonly Address[]
  readonly class: StanzaClass
  /** Milliseconds, by the sender's clock. */
  readonly sent: number
  readonly expiry: number
}

/** An entry is for one device, or for every device on the cards of `to`. */
export type StanzaEntry = { readonly device: DeviceId | '*'; readonly octets: Uint8Array }

/**
 * Where a stanza stands in its stream: `c` counts what this connection carried in this direction, so that a missing frame
 * shows; `n` is its position in the sender's log, which has holes. Ephemeral stanzas have no `n`.
 */
export type Place = { readonly c: number; readonly n?: number }

/** A stanza on one connection. */
export type StanzaFrame = {
  readonly t: 'stanza'
  readonly place: Place
  readonly header: StanzaHeader
  readonly entries: readonly StanzaEntry[]
  readonly body: Uint8Array
  /** The header as it is stored, where the frame had it in that form: a view of its octets. */
  readonly packed?: Uint8Array
}

/** Why a stanza ended, for all of its recipients or those named. */
export type Bounce = {
  readonly id: StanzaId
  readonly to?: readonly Address[]
  readonly code: string
  readonly retryable: boolean
  /** Milliseconds until trying again makes sense. */
  readonly wait?: number
}

/** The newest version of an account's card, by its address. */
export type CardVersions = Readonly<Record<string, number>>

/** "Handled up to h": durable here. What lies behind `after` and is not named in `bounced` was accepted. */
export type AckFrame = {
  readonly t: 'ack'
  readonly epoch: string
  readonly h: number
  readonly after?: number
  /** Newest card versions of the recipients, as far as they are known here. */
  readonly cards?: CardVersions
  readonly bounced?: readonly Bounce[]
}

/** Everything that goes over a connection. */
export type Frame =
  | { readonly t: 'challenge'; readonly nonce: string; readonly domain: string; readonly time: number }
  | { readonly t: 'login'; readonly jws: string }
  | {
      readonly t: 'register'
      readonly jws: string
      readonly card: string
      readonly statement: string
      /** The token of an invitation, where registration takes one. */
      readonly invite?: string
    }
  | { readonly t: 'welcome'; readonly jws: string; readonly key: JsonObject; readonly chain?: readonly Succession[] }
  | { readonly t: 's2s'; readonly jws: string; readonly key: JsonObject }
  | { readonly t: 's2s-proof'; readonly jws: string; readonly key: JsonObject }
  | StanzaFrame
  | (Bounce & { readonly t: 'bounced'; readonly place: Required<Place>; readonly jws: string })
  | AckFrame
  | { readonly t: 'request'; readonly id: string; readonly what: string; readonly value: JsonObject }
  | { readonly t: 'response'; readonly id: string; readonly ok: true; readonly value: JsonObject }
  | {
      readonly t: 'response'
      readonly id: string
      readonly ok: false
      readonly code: string
      readonly retryable: boolean
      readonly wait?: number
    }
  | {
      readonly t: 'error'
      readonly code: string
      readonly retryable: boolean
      readonly versions?: readonly string[]
      /** Milliseconds until trying again makes sense. */
      readonly wait?: number
    }
  | { readonly t: 'ping' }
  | { readonly t: 'pong' }

/** Why octets are no frame. */
export type FrameCode = 'frame-too-large' | 'frame-malformed'

const lineFeed = 0x0a
const newLine = Uint8Array.of(lineFeed)

/** A frame out of its header and the parts of its payload. */
export function encodeFrame(header: JsonObject, ...payload: readonly Uint8Array[]): Uint8Array {
  return concat(utf8(JSON.stringify(header)), newLine, ...payload)
}

/** The frame's octets. */
export function writeFrame(frame: Frame): Uint8Array {
  if (frame.t === 'stanza') {
    const { place, header, entries, body } = frame
    const text = `${placeText(place)}${entriesText(entries)},${headerText(header)}}`
    return joinFrame(text, [...entries.map(({ octets }) => octets), body])
  }
  const quick = frame.t === 'ack' ? writeQuickAck(frame) : undefined
  if (quick !== undefined) return quick
  if (frame.t === 'bounced') {
    const { place, ...rest } = frame
    return encodeFrame({ ...plain(rest), ...place })
  }
  if (frame.t === 'request' || (frame.t === 'response' && frame.ok)) {
    const { value, ...rest } = frame
    return encodeFrame(plain(rest), utf8(JSON.stringify(value)))
  }
  return encodeFrame(plain(frame))
}

/**
 * Reads a frame that came from the peer. The octets of entries and body are views of `bytes`. A connection that reads many gives
 * the same `memo` each time.
 */
export function readFrame(
  bytes: Uint8Array,
  limits: StreamLimits = streamLimits,
  memo: Memo = { middles: undefined },
): Result<{ readonly frame: Frame }, FrameCode> {
  if (bytes.length > limits.frameBytesMax) return { ok: false, code: 'frame-too-large' }
  const end = bytes.indexOf(lineFeed)
  if (end < 0 || end > limits.headerBytesMax) return { ok: false, code: end < 0 ? 'frame-malformed' : 'frame-too-large' }
  const text = fromUtf8(bytes.subarray(0, end))
  if (text === undefined) return { ok: false, code: 'frame-malformed' }
  const quick = end + 1 < bytes.length ? readQuickStanza(text, bytes, memo) : readQuickAck(text)
  if (quick !== undefined) return { ok: true, frame: quick }
  const payload = bytes.subarray(end + 1)
  const header = parseJsonObject(text, { bytesMax: limits.headerBytesMax, depthMax: 6 })
  const frame = header.ok ? readHeader(header.value, payload, limits) : undefined
  return frame === undefined ? { ok: false, code: 'frame-malformed' } : { ok: true, frame }
}

function readHeader(header: JsonObject, payload: Uint8Array, limits: StreamLimits): Frame | undefined {
  const { t } = header
  if (t === 'stanza') return readStanza(header, payload, limits)
  if (t === 'request' || t === 'response') return readExchange(header, payload)
  if (payload.length > 0) return undefined
  if (t === 'ack') return readAck(header, limits)
  if (t === 'bounced') {
    const bounce = readBounce(header, limits)
    const place = readPlace(header)
    const { jws } = header
    if (bounce === undefined || place?.n === undefined || typeof jws !== 'string') return undefined
    return { t, ...bounce, place: { c: place.c, n: place.n }, jws }
  }
  if (t === 'error') {
    const { code, retryable, versions, wait } = header
    if (!isCode(code) || typeof retryable !== 'boolean') return undefined
    return { t, code, retryable, ...(isStrings(versions) ? { versions } : {}), ...(isCount(wait) ? { wait } : {}) }
  }
  if (t === 'ping' || t === 'pong') return { t }
  return readHandshake(header)
}

function readHandshake(header: JsonObject): Frame | undefined {
  const { t, jws, key, nonce, domain, time } = header
  if (t === 'challenge') {
    if (typeof nonce !== 'string' || typeof domain !== 'string' || !isCount(time)) return undefined
    return { t, nonce, domain, time }
  }
  if (typeof jws !== 'string') return undefined
  if (t === 'login') return { t, jws }
  if (t === 'register') return readRegister(header, jws)
  if (t === 'welcome') return readWelcomeFrame(header, jws)
  if (t === 's2s' || t === 's2s-proof') return isJsonObject(key) ? { t, jws, key } : undefined
  return undefined
}

function readWelcomeFrame({ key, chain: list }: JsonObject, jws: string): Frame | undefined {
  if (!isJsonObject(key)) return undefined
  const chain = readSuccessions(list)
  // Where it is of no use to this device, a chain that cannot be read does no harm.
  return { t: 'welcome', jws, key, ...(chain === undefined ? {} : { chain }) }
}

function readRegister({ card, statement, invite }: JsonObject, jws: string): Frame | undefined {
  if (typeof card !== 'string' || typeof statement !== 'string') return undefined
  if (invite !== undefined && typeof invite !== 'string') return undefined
  return { t: 'register', jws, card, statement, ...(invite === undefined ? {} : { invite }) }
}

function readStanza(header: JsonObject, payload: Uint8Array, limits: StreamLimits): StanzaFrame | undefined {
  const { id: idText, from: fromText, device: deviceText, class: stanzaClass, sent, expiry } = header
  const id = typeof idText === 'string' ? toStanzaId(idText) : undefined
  const from = readAddress(fromText)
  const device = typeof deviceText === 'string' ? toDeviceId(deviceText) : undefined
  const to = readAddresses(header['to'], limits)
  if (id === undefined || from === undefined || device === undefined || to === undefined || to.length === 0) return undefined
  if ((stanzaClass !== 'durable' && stanzaClass !== 'ephemeral') || !isCount(sent) || !isCount(expiry)) return undefined
  const place = readPlace(header)
  if (place === undefined || (place.n === undefined) !== (stanzaClass === 'ephemeral')) return undefined
  const cut = cutEntries(header['entries'], payload, limits)
  if (cut === undefined) return undefined
  return { t: 'stanza', place, header: { id, from, device, to, class: stanzaClass, sent, expiry }, ...cut }
}

function cutEntries(
  list: Json | undefined,
  payload: Uint8Array,
  limits: StreamLimits,
): { readonly entries: readonly StanzaEntry[]; readonly body: Uint8Array } | undefined {
  if (!Array.isArray(list) || list.length > limits.entriesMax) return undefined
  const entries: StanzaEntry[] = []
  let offset = 0
  for (const item of list as readonly Json[]) {
    if (!Array.isArray(item) || item.length !== 2) return undefined
    const [name, length] = item as readonly Json[]
    const device = name === '*' ? name : typeof name === 'string' ? toDeviceId(name) : undefined
    if (device === undefined || !isCount(length) || offset + length > payload.length) return undefined
    entries.push({ device, octets: payload.subarray(offset, offset + length) })
    offset += length
  }
  if (new Set(entries.map(({ device }) => device)).size !== entries.length) return undefined
  return { entries, body: payload.subarray(offset) }
}

function readExchange(header: JsonObject, payload: Uint8Array): Frame | undefined {
  const { t, id, what, ok, code, retryable, wait } = header
  if (typeof id !== 'string' || id.length === 0 || id.length > 64) return undefined
  if (t === 'response' && ok === false) {
    if (!isCode(code) || typeof retryable !== 'boolean' || payload.length > 0) return undefined
    return { t, id, ok, code, retryable, ...(isCount(wait) ? { wait } : {}) }
  }
  const parsed = parseJsonObject(payload, { bytesMax: payload.length, depthMax: 16 })
  if (!parsed.ok) return undefined
  if (t === 'response') return ok === true ? { t, id, ok, value: parsed.value } : undefined
  return isCode(what) ? { t: 'request', id, what, value: parsed.value } : undefined
}

function readAck(header: JsonObject, limits: StreamLimits): AckFrame | undefined {
  const { epoch, h, after, cards, bounced } = header
  if (typeof epoch !== 'string' || !isCount(h)) return undefined
  if (after !== undefined && !isCount(after)) return undefined
  if (cards !== undefined && !(isJsonObject(cards) && Object.values(cards).every(isCount))) return undefined
  const bounces = bounced === undefined ? [] : readBounces(bounced, limits)
  if (bounces === undefined) return undefined
  return {
    t: 'ack',
    epoch,
    h,
    ...(after === undefined ? {} : { after }),
    // Every value was checked to be a number.
    ...(cards === undefined ? {} : { cards: cards as CardVersions }),
    ...(bounces.length === 0 ? {} : { bounced: bounces }),
  }
}

function readBounces(list: Json, limits: StreamLimits): readonly Bounce[] | undefined {
  if (!Array.isArray(list)) return undefined
  const bounces = (list as readonly Json[]).map((item) => (isJsonObject(item) ? readBounce(item, limits) : undefined))
  return bounces.every((bounce) => bounce !== undefined) ? bounces : undefined
}

function readBounce(item: JsonObject, limits: StreamLimits): Bounce | undefined {
  const { id: idText, code, retryable, wait } = item
  const id = typeof idText === 'string' ? toStanzaId(idText) : undefined
  const to = item['to'] === undefined ? [] : readAddresses(item['to'], limits)
  if (id === undefined || to === undefined || !isCode(code) || typeof retryable !== 'boolean') return undefined
  return { id, ...(to.length === 0 ? {} : { to }), code, retryable, ...(isCount(wait) ? { wait } : {}) }
}

function readPlace({ c, n }: JsonObject): Place | undefined {
  if (!isCount(c) || c < 1) return undefined
  if (n === undefined) return { c }
  return isCount(n) && n >= 1 ? { c, n } : undefined
}

/** An address as it must stand on the wire: already folded. */
function readAddress(value: Json | undefined): Address | undefined {
  if (typeof value !== 'string') return undefined
  const address = toAddress(value)
  return address === value ? address : undefined
}

function readAddresses(value: Json | undefined, limits: StreamLimits): readonly Address[] | undefined {
  if (!Array.isArray(value) || value.length > limits.addressesMax) return undefined
  const addresses = (value as readonly Json[]).map(readAddress)
  if (new Set(addresses).size !== addresses.length) return undefined
  return addresses.every((address) => address !== undefined) ? addresses : undefined
}

function isCount(value: Json | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function isStrings(value: Json | undefined): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

// Frames are JSON values; a JsonObject type has an index signature that an object type lacks.
function plain(frame: object): JsonObject {
  return frame as JsonObject
}
