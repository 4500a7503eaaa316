/**
 * What a relay answers over HTTP: its keys, stanzas posted by those without a socket, and, where the operator allows it, the public
 * cards of its accounts (design §5).
 * @module
 */
import { type Address, domainOf, type HttpRequest, type HttpResponse, type JsonObject, toAddress, utf8 } from '@parley/core'
import { deviceOn, domainKeysPath, type ReadCard, readCard } from '@parley/identity'
import { type Key, readKey } from '@parley/jose'
import { type Post, postPath, provesPost, readPost, type Settlement, sizeOf } from '@parley/stream'
import type { RelayContext } from './context.ts'
import type { Federation } from './federation.ts'
import { createLane, type Router } from './router.ts'

export type HttpEntry = (request: HttpRequest) => Promise<HttpResponse>

export type HttpEntryParts = {
  readonly router: Router
  readonly federation: Federation
  /** Whether anybody may fetch the card of an account: then anybody can find out which accounts there are. */
  readonly publicCards: boolean
  /** The document with the relay's keys. */
  keys(): Uint8Array
}

/** Below this path stand the public cards, under the local part of their address. */
const cardPath = `${domainKeysPath}/card/`

export function createHttpEntry(context: RelayContext, parts: HttpEntryParts): HttpEntry {
  const { clock, domain, directory, gate, limits, telemetry } = context
  const { router, federation, publicCards } = parts

  async function post(body: Uint8Array): Promise<HttpResponse> {
    if (body.length > limits.stream.frameBytesMax) return refuse(413, 'frame-too-large')
    const read = readPost(body, limits.stream)
    if (read === undefined) return refuse(400, 'frame-malformed')
    const came = clock.monotonic()
    const key = await keyOf(read)
    if (key === undefined || !provesPost(read, { domain, key, now: clock.now() })) {
      // The same answer at the same time, whether there is such an account or not.
      await new Promise<void>((done) => clock.at(came + limits.refusalDelayMs, done))
      return refuse(403, 'forbidden')
    }
    const { stanza, address } = read
    const wait = gate.stanza(address, sizeOf(stanza))
    if (wait > 0) return refuse(429, 'rate-limited', wait)
    const isOurs = domainOf(address) === domain
    // What came from another domain goes to our own accounts and nowhere else.
    if (!isOurs && stanza.header.to.some((to) => domainOf(to) !== domain)) return refuse(403, 'forbidden')
    telemetry.count('relay.http.stanza')
    // Nobody is there to take it at once: it is always written.
    const settlement = await new Promise<Settlement | undefined>((settled) =>
      router.route(stanza, { lane: createLane(), federate: isOurs, early: false }, settled),
    )
    return settlement === undefined ? refuse(500, 'internal') : answer(200, outcome(stanza.header.to, settlement))
  }

  /** The key of the device that claims to have posted, by the current card of its account. */
  async function keyOf({ address, device }: Post): Promise<Key | undefined> {
    const card = await cardOf(address)
    const found = card === undefined ? undefined : deviceOn(card.card, device)
    const key = found?.status === 'active' ? readKey(found.device.signingKey) : undefined
    return key?.ok === true ? key.key : undefined
  }

  async function cardOf(address: Address): Promise<ReadCard | undefined> {
    const from = domainOf(address)
    if (from === domain) return directory.head(address)
    if (!federation.has(from)) return undefined
    // Its own relay vouches for it, as it does for every stanza on a stream.
    const answered = await federation.request(from, 'cards', { address, since: 0 })
    const list = answered.ok ? answered.value['cards'] : undefined
    const last = Array.isArray(list) ? list.at(-1) : undefined
    const read = typeof last === 'string' ? readCard(last) : undefined
    return read?.ok === true && read.card.address === address ? read : undefined
  }

  async function card(path: string): Promise<HttpResponse> {
    const address = toAddress(`${path.slice(cardPath.length)}@${domain}`)
    const head = publicCards && address !== undefined ? await directory.head(address) : undefined
    if (head === undefined) return refuse(404, 'item-not-found')
    return answer(200, { card: head.jws, version: head.card.version }, { 'cache-control': 'no-cache' })
  }

  return async ({ method, path, body, peer }) => {
    const isGet = method === 'GET' || method === 'HEAD'
    if (path === domainKeysPath) {
      const headers = { 'content-type': 'application/json', 'cache-control': 'max-age=300' }
      return isGet ? { status: 200, headers, body: parts.keys() } : notAllowed('GET, HEAD')
    }
    const isPost = path === postPath
    if (!isPost && !path.startsWith(cardPath)) return { status: 404, body: utf8('') }
    const wait = gate.request(peer)
    if (wait > 0) return refuse(429, 'rate-limited', wait)
    if (isPost) return method === 'POST' ? post(body) : notAllowed('POST')
    return isGet ? card(path) : notAllowed('GET, HEAD')
  }
}

/** Which of the addressed accounts it is durable for, and why it is not for the others. */
function outcome(to: readonly Address[], { cards = {}, bounced = [] }: Settlement): JsonObject {
  const ended = bounced.map(({ to: some = to, code, retryable, wait }) => ({
    to: [...some],
    code,
    retryable,
    ...(wait === undefined ? {} : { wait }),
  }))
  const accepted = to.filter((address) => !ended.some(({ to: some }) => some.includes(address)))
  return { accepted, cards: { ...cards }, bounced: ended }
}

function answer(status: number, value: JsonObject, headers: Readonly<Record<string, string>> = {}): HttpResponse {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: utf8(JSON.stringify(value)) }
}

/** `wait` in milliseconds; `Retry-After` counts seconds (RFC 9110 §10.2.3). */
function refuse(status: number, code: string, wait?: number): HttpResponse {
  const headers = wait === undefined ? {} : { 'retry-after': String(Math.ceil(wait / 1000)) }
  return answer(status, { code, ...(wait === undefined ? {} : { wait }) }, headers)
}

function notAllowed(allow: string): HttpResponse {
  return { status: 405, headers: { allow }, body: utf8('') }
}
