/**
 * A stanza by HTTP, for those without a socket (design §5): a frame `post` with a signed JWM by the sending device, behind it the
 * stanza's own frame. The JWM names the digest of those octets, the sender and the one relay that it is for, and lives a minute.
 * @module
 */
import {
  type Address,
  base64url,
  type DeviceId,
  type Domain,
  fromUtf8,
  parseJsonObject,
  toAddress,
  toDeviceId,
} from '@parley/core'
import { type Key, sha256 } from '@parley/jose'
import type { OutgoingStanza } from './c2s-client.ts'
import { encodeFrame, readFrame, type StanzaFrame, writeFrame } from './frame.ts'
import { type StreamLimits, streamLimits } from './limits.ts'
import { type Claimed, readProof, relayUri, signProof, verifyProof } from './proof.ts'

/** The `type` of the JWM in a post. */
export const postType: string = 'urn:parley:kernel:1:post'
/** Where a relay takes posts (RFC 8615). */
export const postPath: string = '/.well-known/parley/stanza'

/** What a post claims; nothing of it is proved. */
export type Post = {
  readonly address: Address
  readonly device: DeviceId
  readonly stanza: StanzaFrame
  readonly claimed: Claimed
  readonly digest: string
}

const lineFeed = 0x0a

/** The octets of a POST to the relay of `domain`, for the stanza and nothing else, good for a minute. `now` in milliseconds. */
export function packPost(
  stanza: OutgoingStanza,
  options: {
    readonly from: Address
    readonly device: DeviceId
    readonly signer: Key
    readonly domain: Domain
    readonly now: number
  },
): Uint8Array {
  const { from, device, signer, domain, now } = options
  const { entries, body, ...header } = stanza
  const octets = writeFrame({ t: 'stanza', place: { c: 1, n: 1 }, header: { ...header, from, device }, entries, body })
  const jws = signProof({
    type: postType,
    to: relayUri(domain),
    body: { address: from, device, digest: digestOf(octets) },
    signer,
    now,
    lifetimeMs: streamLimits.proofLifetimeMs,
  })
  return encodeFrame({ t: 'post', jws }, octets)
}

/** Reads the octets of a POST; `undefined` when they are none, or of another class than `durable`. */
export function readPost(octets: Uint8Array, limits: StreamLimits = streamLimits): Post | undefined {
  const end = octets.indexOf(lineFeed)
  if (end < 0 || end > limits.loginFrameBytesMax) return undefined
  const header = parseJsonObject(fromUtf8(octets.subarray(0, end)) ?? '')
  const jws = header.ok && header.value['t'] === 'post' ? header.value['jws'] : undefined
  const claimed = typeof jws === 'string' ? readProof(jws) : undefined
  const read = readFrame(octets.subarray(end + 1), limits)
  if (claimed === undefined || !read.ok || read.frame.t !== 'stanza' || read.frame.header.class !== 'durable') return undefined
  const { address: addressText, device: deviceText } = claimed.body
  const address = typeof addressText === 'string' ? toAddress(addressText) : undefined
  const device = typeof deviceText === 'string' ? toDeviceId(deviceText) : undefined
  if (address === undefined || device === undefined) return undefined
  if (read.frame.header.from !== address || read.frame.header.device !== device) return undefined
  return { address, device, stanza: read.frame, claimed, digest: digestOf(octets.subarray(end + 1)) }
}

/**
 * Whether the device with this signing key posted exactly this stanza, to this relay, just now. `now` in milliseconds; clocks may differ
 * by a minute.
 */
export function provesPost(post: Post, options: { readonly domain: Domain; readonly key: Key; readonly now: number }): boolean {
  const { domain, key, now } = options
  if (post.claimed.body['digest'] !== post.digest || post.device !== key.thumbprint) return false
  const lifetimeMs = streamLimits.proofLifetimeMs
  return verifyProof(post.claimed, { type: postType, to: relayUri(domain), key, now, lifetimeMs }).ok
}

function digestOf(octets: Uint8Array): string {
  return base64url(sha256(octets))
}
