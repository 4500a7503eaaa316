/**
 * The relay, as operators run it, and devices that speak its stream protocol: signed logins, counted stanzas, cumulative
 * acknowledgements. A device acknowledges at once and keeps nothing.
 * @module
 */
import { fileURLToPath } from 'node:url'
import { type DeviceId, parseAddress, uuidUrnFrom } from '@parley/core'
import { signCard, signStatement } from '@parley/identity'
import { generateKey, importKey, type Jwk, publicJwk, thumbprint } from '@parley/jose'
import { type C2sClientOptions, c2sProtocol, createC2sClient, type OutgoingStanza } from '@parley/stream'
import { WebSocket } from 'ws'
import { type Client, type Listener, type Service, startServer } from './relay-service.ts'
import { random } from './work.ts'

const domain = 'a.localhost'
const bin = fileURLToPath(new URL('../../apps/relay/bin/parley-relay.js', import.meta.url))
// What a recipient's entry takes under a session key.
const entry = random.bytes(110)

type Account = Omit<C2sClientOptions, 'random' | 'position' | 'relayKey' | 'register'> & {
  readonly register: NonNullable<C2sClientOptions['register']>
  /** How far it acknowledged, once it was there. */
  position?: C2sClientOptions['position']
}

export async function startParley(folder: string): Promise<Service> {
  const { port, ...server } = await startServer([
    bin,
    '--domain',
    domain,
    '--port',
    '0',
    '--data',
    folder,
    '--log-level',
    'silent',
  ])
  const accounts = new Map<number, Account>()
  return {
    ...server,
    name: 'parley-relay',
    stores: true,
    connect(id, listener) {
      const known = accounts.get(id)
      const account = known ?? makeAccount(id)
      accounts.set(id, account)
      return connect(`ws://127.0.0.1:${port}`, { account, isNew: known === undefined, listener })
    },
  }
}

function makeAccount(id: number): Account {
  const address = parseAddress(`user${id}@${domain}`)
  const account = importKey(generateKey('Ed25519', { random }))
  const signing = generateKey('Ed25519', { random })
  // A thumbprint is what DeviceId stands for.
  const device = thumbprint(signing) as DeviceId
  const now = Date.now()
  const seconds = Math.floor(now / 1000)
  const card = signCard(
    {
      address,
      version: 1,
      prev: null,
      accountKey: account.publicJwk as Jwk,
      next: device,
      devices: [{ id: device, signingKey: publicJwk(signing), added: seconds, admin: true }],
    },
    { key: account, now },
  )
  const signer = importKey(signing)
  const agreementKey = publicJwk(generateKey('X25519', { random }))
  const validity = { issued: seconds, expiry: seconds + 86_400 }
  const statement = signStatement(
    { device, account: card.account, agreementKey, n: 1, head: card.hash, ...validity },
    { key: signer },
  )
  return { address, device, signer, inc: 'AAAAAAAAAAA', register: { card: card.jws, statement } }
}

function connect(
  url: string,
  { account, isNew, listener }: { readonly account: Account; readonly isNew: boolean; readonly listener: Listener },
): Promise<Client> {
  const { register, position, ...own } = account
  const stream = createC2sClient({ ...own, position, relayKey: undefined, random, ...(isNew ? { register } : {}) })
  const socket = new WebSocket(url, [c2sProtocol], { perMessageDeflate: false })
  const closed = new Promise<void>((done) => socket.once('close', () => done()))
  let epoch = ''
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    const act = ({ frames, events }: ReturnType<typeof stream.receive>): void => {
      for (const frame of frames) socket.send(frame)
      let accepted = 0
      let handled: number | undefined
      for (const event of events) {
        if (event.kind === 'stanza') {
          listener.message?.(event.stanza.body)
          handled = event.stanza.n ?? handled
        } else if (event.kind === 'accepted') accepted++
        else if (event.kind === 'ready') {
          epoch = event.welcome.epoch
          resolve({ send, close })
        } else if (event.kind === 'fatal' || event.kind === 'bounced') reject(new Error(JSON.stringify(event)))
      }
      if (accepted > 0) listener.accepted?.(accepted)
      if (handled !== undefined) {
        account.position = { epoch, n: handled }
        act(stream.handled(handled))
      }
    }
    const send = (to: number, body: Uint8Array): void => {
      const now = Date.now()
      const stanza: OutgoingStanza = {
        // A brand: uuidUrnFrom makes what StanzaId stands for.
        id: uuidUrnFrom(random.bytes(16)) as OutgoingStanza['id'],
        to: [parseAddress(`user${to}@${domain}`)],
        class: 'durable',
        sent: now,
        expiry: now + 86_400_000,
        entries: [{ device: '*', octets: entry }],
        body,
      }
      act(stream.send(stanza))
    }
    const close = async (): Promise<void> => {
      socket.close()
      await closed
    }
    socket.on('message', (frame: Buffer) => act(stream.receive(frame, Date.now())))
  })
}
