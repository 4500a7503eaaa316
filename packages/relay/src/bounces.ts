/**
 * Bounces in a device's mailbox: a relay gave up after it had acknowledged, and the sender may be away. They stand in the log as
 * stanzas do, in order, and are signed when they are delivered.
 * @module
 */
import {
  type Address,
  type DeviceId,
  isJsonObject,
  type Json,
  parseJson,
  type StanzaId,
  toAddress,
  toDeviceId,
  toStanzaId,
  utf8,
} from '@parley/core'
import type { Full, Mailbox, Quota } from '@parley/mailbox'
import { type Bounce, unpackHeader } from '@parley/stream'
import type { RelayLimits } from './limits.ts'

const mark = utf8('{"t":"bounced"')

/** What the log holds of a bounce. */
export function packBounce(bounce: Bounce): Uint8Array {
  return utf8(JSON.stringify({ t: 'bounced', ...bounce }))
}

/** The bounce in a stored header, or `undefined` when it is a stanza's. */
export function unpackBounce(header: Uint8Array): Bounce | undefined {
  if (!mark.every((octet, i) => header[i] === octet)) return undefined
  const parsed = parseJson(header)
  if (!parsed.ok || !isJsonObject(parsed.value)) return undefined
  const { id: idText, to, code, retryable } = parsed.value
  const id = toStanzaId(text(idText))
  if (id === undefined || typeof retryable !== 'boolean') return undefined
  const addresses = Array.isArray(to) ? (to as readonly Json[]).flatMap((item) => toAddress(text(item)) ?? []) : []
  return { id, ...(addresses.length === 0 ? {} : { to: addresses }), code: text(code), retryable }
}

/** A stanza and the device that sent it. */
export type Origin = { readonly id: StanzaId; readonly from: Address; readonly device: DeviceId }

/** Whose stanza it was, out of its stored header. */
export function originOf(header: Uint8Array): Origin | undefined {
  const members = unpackHeader(header)
  const id = toStanzaId(text(members['id']))
  const from = toAddress(text(members['from']))
  const device = toDeviceId(text(members['device']))
  return id === undefined || from === undefined || device === undefined ? undefined : { id, from, device }
}

/** The log of a device. */
export function deviceReader(address: Address, device: DeviceId): string {
  return `device:${address}/${device}`
}

/** Whether a log is a device's. */
export function isDeviceReader(reader: string): boolean {
  return reader.startsWith('device:')
}

/** What a log of this relay may hold: a queue towards a domain, or a device's mailbox within that of its account. */
export function quotaOf(reader: string, limits: RelayLimits): Quota {
  if (reader.startsWith(domainReader(''))) return { countMax: limits.queueCountMax, bytesMax: limits.queueBytesMax }
  const owner = {
    name: reader.slice(0, reader.lastIndexOf('/')),
    countMax: limits.accountCountMax,
    bytesMax: limits.accountBytesMax,
  }
  return { countMax: limits.mailbox.countMax, bytesMax: limits.mailbox.bytesMax, owner }
}

/** The name of the limit of a relay that is behind what a log may hold. */
export function limitOf(reader: string, { of, by }: Full): string {
  const what = by === 'count' ? 'CountMax' : 'BytesMax'
  if (reader.startsWith(domainReader(''))) return `queue${what}`
  return of === 'owner' ? `account${what}` : `mailbox.${by}Max`
}

/** The log towards another domain. */
export function domainReader(domain: string): string {
  return `domain:${domain}`
}

/** Puts a bounce in its sender's mailbox. */
export async function storeBounce(
  mailbox: Mailbox,
  options: { readonly reader: string; readonly bounce: Bounce; readonly expiry: number },
): Promise<void> {
  const { reader, bounce, expiry } = options
  const nothing = new Uint8Array(0)
  await mailbox.append([{ reader, entry: nothing }], { header: packBounce(bounce), body: nothing, expiry })
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : ''
}
