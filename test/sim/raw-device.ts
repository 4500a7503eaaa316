/**
 * A device that speaks the stream as every device does and says on it whatever it likes: keys of its own, an account of its
 * own, no agent.
 */
import { type Address, type DeviceId, parseAddress, type StanzaId, toImUri, uuidUrnFrom } from '@parley/core'
import type { SimRandom } from '@parley/core/sim'
import { readCard, readStatement, signCard, signStatement } from '@parley/identity'
import { generateKey, importKey, type Jwk, type Key, publicJwk, thumbprint } from '@parley/jose'
import {
  type Attributes,
  decryptEnvelope,
  type MessageRecipient,
  readEnvelope,
  readSigned,
  type SealedMessage,
  sealMessage,
  sealSigned,
} from '@parley/jwm'
import { c2sProtocol, createC2sClient, type IncomingStanza } from '@parley/stream'
import type { World } from '@parley/testing'

export type RawDevice = {
  readonly address: Address
  readonly id: DeviceId
  /** Everything that came. */
  readonly received: readonly IncomingStanza[]
  /** The devices and agreement keys of an account, asked of the relay. */
  readersOf(address: Address): Promise<readonly Reader[]>
  /** A first card of any address and a statement, with this device on it: true for the own one alone. `other` makes a second first card. */
  cardOf(address: Address, options?: { readonly other?: boolean }): { readonly card: string; readonly statement: string }
  /** Signs as this device and sends; `attributes` may claim anything. */
  send(attributes: Attributes, to: { readonly address: Address; readonly readers: readonly Reader[] }): StanzaId
  /** Sends octets that somebody signed, sealed anew. */
  forward(signed: Uint8Array, to: { readonly address: Address; readonly readers: readonly Reader[] }): StanzaId
  /** Sends any entry and body. */
  sendOctets(to: Address, octets: { readonly entry: Uint8Array; readonly body: Uint8Array }): void
  /** What this device can decrypt of what it received, with these keys besides its own: the signed octets, still unread. */
  opened(
    keys: ReadonlyMap<string, Key>,
  ): readonly { readonly stanza: IncomingStanza; readonly kid: string; readonly signed: Uint8Array }[]
}

export type Reader = { readonly device: DeviceId; readonly recipient: MessageRecipient; readonly account: string }

type Statements = { readonly statements: readonly string[]; readonly card: string }

/** Registers an account with one such device, and keeps it connected for as long as links are perfect. */
export async function createRawDevice(
  world: World,
  { name, url, random }: { readonly name: string; readonly url: string; readonly random: SimRandom },
): Promise<RawDevice> {
  const address = parseAddress(name)
  const clock = world.schedule.clock()
  const account = importKey(generateKey('Ed25519', { random }))
  const signing = generateKey('Ed25519', { random })
  const signer = importKey(signing)
  // A thumbprint is what DeviceId stands for.
  const id = thumbprint(signing) as DeviceId
  const agreement = generateKey('X25519', { random })
  const seconds = Math.floor(clock.now() / 1000)
  const devices = [{ id, signingKey: publicJwk(signing), added: seconds, admin: true as const }]
  const nexts = [generateKey('Ed25519', { random }), generateKey('Ed25519', { random })].map((key) => thumbprint(key))
  const cardOf = (of: Address, { other = false } = {}) => {
    const next = nexts[other ? 1 : 0] ?? ''
    const card = signCard(
      { address: of, version: 1, prev: null, accountKey: account.publicJwk as Jwk, next, devices },
      { key: account, now: clock.now() },
    )
    const validity = { issued: seconds, expiry: seconds + 86_400 }
    const statement = signStatement(
      { device: id, account: card.account, agreementKey: publicJwk(agreement), n: 1, head: card.hash, ...validity },
      { key: signer },
    )
    return { card: card.jws, statement }
  }
  const client = createC2sClient({
    address,
    device: id,
    signer,
    inc: 'AAAAAAAAAAA',
    position: undefined,
    relayKey: undefined,
    random,
    register: cardOf(address),
  })
  const received: IncomingStanza[] = []
  const answers = new Map<string, (value: unknown) => void>()
  const own = new Map([[thumbprint(agreement), importKey(agreement)]])

  const transport = world.network.transport(address)
  const connection = await world.settled(
    transport.dial(url, { subprotocols: [c2sProtocol], frameBytesMax: 2 ** 21, timeoutMs: 5_000 }),
  )
  const act = ({ frames, events }: ReturnType<typeof client.ping>): void => {
    for (const frame of frames) connection.send(frame)
    for (const event of events) {
      if (event.kind === 'stanza') {
        received.push(event.stanza)
        if (event.stanza.n !== undefined) act(client.handled(event.stanza.n))
      } else if (event.kind === 'bounced' && event.n !== undefined) act(client.handled(event.n))
      else if (event.kind === 'response') answers.get(event.id)?.(event.ok ? event.value : undefined)
    }
  }
  connection.start({ onFrame: (frame) => act(client.receive(frame, clock.now())), onClose() {} })
  await world.run({ until: () => client.state === 'ready', timeMs: 10_000 })

  const ask = (what: string, value: { readonly address: Address }): Promise<unknown> => {
    const { id: request, ...output } = client.request(what, value)
    const answered = new Promise<unknown>((done) => answers.set(request, done))
    act(output)
    return answered
  }
  const put = (
    to: Address,
    sealed: { entries: readonly { readonly device: DeviceId | '*'; readonly octets: Uint8Array }[]; body: Uint8Array },
  ): StanzaId => {
    const sent = clock.now()
    // A brand: uuidUrnFrom makes what StanzaId stands for.
    const stanza = uuidUrnFrom(random.bytes(16)) as StanzaId
    act(client.send({ id: stanza, to: [to], class: 'durable', sent, expiry: sent + 86_400_000, ...sealed }))
    return stanza
  }
  const cut = (sealed: SealedMessage, readers: readonly Reader[]) => ({
    body: sealed.body,
    entries: readers.map(({ device }, i) => ({ device, octets: sealed.entries[i]?.entry ?? new Uint8Array() })),
  })

  return {
    address,
    id,
    received,
    cardOf,
    async readersOf(of) {
      const answer = (await world.settled(ask('statements', { address: of }))) as Statements | undefined
      const read = readCard(answer?.card ?? '')
      if (!read.ok) return []
      return (answer?.statements ?? []).flatMap((jws) => {
        const stated = readStatement(jws, { card: read, now: clock.now() })
        if (!stated.ok) return []
        const { device, agreementKey, account: theirs } = stated.statement
        return [{ device, account: theirs, recipient: { kid: thumbprint(agreementKey), key: importKey(agreementKey) } }]
      })
    },
    send(attributes, { address: to, readers }) {
      return put(
        to,
        cut(sealMessage(attributes, { signer, recipients: readers.map(({ recipient }) => recipient), random }), readers),
      )
    },
    forward(signed, { address: to, readers }) {
      return put(to, cut(sealSigned(signed, { recipients: readers.map(({ recipient }) => recipient), random }), readers))
    },
    sendOctets(to, { entry, body }) {
      put(to, { entries: [{ device: '*', octets: entry }], body })
    },
    opened: (keys) =>
      received.flatMap((stanza) => {
        const read = readEnvelope(stanza.entry, stanza.body)
        const key = read.ok ? (own.get(read.envelope.kid) ?? keys.get(read.envelope.kid)) : undefined
        const decrypted = read.ok && key !== undefined ? decryptEnvelope(read.envelope, key) : undefined
        if (!read.ok || decrypted?.ok !== true || !readSigned(decrypted.message).ok) return []
        return [{ stanza, kid: read.envelope.kid, signed: decrypted.message }]
      }),
  }
}

/** What is inside, unverified: this device believes everybody. */
export function payloadOf(signed: Uint8Array): { readonly [name: string]: unknown } {
  const [, payload = ''] = Buffer.from(signed).toString().split('.')
  return JSON.parse(Buffer.from(payload, 'base64url').toString()) as { readonly [name: string]: unknown }
}

/** The attributes of a text as agents write them. */
export function textAttributes(
  device: Pick<RawDevice, 'address'>,
  says: {
    readonly text: string
    readonly from?: Address
    readonly to: Address
    readonly audience: readonly { readonly address: Address; readonly account: string }[]
    readonly seq: number
    readonly now: number
    readonly random: SimRandom
  },
): Attributes {
  const { text, from = device.address, to, audience, seq, now, random } = says
  return {
    id: uuidUrnFrom(random.bytes(16)),
    type: 'urn:parley:chat:1:text',
    from: toImUri(from),
    to: [toImUri(to)],
    timeStamp: now / 1000,
    expiry: (now + 86_400_000) / 1000,
    body: { text },
    others: {
      parley: {
        inc: 'AAAAAAAAAAA',
        seq,
        prev: 0,
        card: 1,
        audience: audience.map(({ address, account }) => ({ address: toImUri(address), account, version: 1 })),
      },
    },
  }
}
