/**
 * Guarantees 3 and 6 with a client that lies: a device of its own account that speaks the stream as it must and says on it
 * what it likes. Nobody is handed what it forged, quotas hold, and honest people go on talking.
 */
import { type Address, base64url, domainOf, toImUri, uuidUrnFrom } from '@parley/core'
import { createSimRandom, type SimRandom } from '@parley/core/sim'
import { readCard } from '@parley/identity'
import { generateKey, importKey, type Key, publicJwk, thumbprint } from '@parley/jose'
import { readEnvelope, sealSigned } from '@parley/jwm'
import { readFrame, writeFrame } from '@parley/stream'
import { createWorld, type SimDevice, type World } from '@parley/testing'
import { createLedger } from './ledger.ts'
import type { Outcome } from './property.ts'
import { createRawDevice, payloadOf, type RawDevice, type Reader, textAttributes } from './raw-device.ts'
import { settle, stuck, watchForPlaintext } from './rest.ts'

const attackKinds = [
  'from another',
  'to another',
  'forwarded',
  'forwarded as its author',
  'two texts under one number',
  'request for a key of others',
  'flood of stanzas',
  'flood of key requests',
  'second first card',
] as const
type AttackKind = (typeof attackKinds)[number]

const lockedMax = 10
const attackMs = 30_000
const attacks = attackKinds.length
const floodStanzas = 16

export async function simulateLyingClients(seed: number, { planted }: { readonly planted: boolean }): Promise<Outcome> {
  const world = createWorld({ seed, settle, agentLimits: { retryMsMax: 2_000, lockedStanzasMax: lockedMax } })
  const random = createSimRandom(`lying clients ${seed}`)
  const plaintext = watchForPlaintext(world)
  const relay = await world.addRelay('a.test')
  await world.addRelay('b.test')
  const alice = await world.addAccount('alice@a.test')
  const bob = await world.addAccount('bob@b.test')
  const second = await world.addDevice(bob)
  const url = `ws://a.test:${relay.relay?.port}`
  const mallory = await createRawDevice(world, { name: 'mallory@a.test', url, random: random.fork('mallory') })
  const sids = watchForSids(world)
  const renamed = new Set<string>()
  const fork: Fork = { ...mallory.cardOf(mallory.address, { other: true }), isServed: false, seen: new Map() }
  const instead = planted ? mallory.cardOf(alice.address) : undefined
  helpLiar(world, { renamed, as: alice, mallory: mallory.address, fork, ...(instead === undefined ? {} : { instead }) })
  const ledger = createLedger(world)
  await world.settled(ledger.say(alice, bob.address))
  await world.settled(ledger.say(bob, alice.address))
  // She has friends, like everybody: what they write to her she may forward.
  await world.settled(ledger.say(alice, mallory.address))
  await world.run({ timeMs: 5_000 })

  const liar: Liar = {
    world,
    mallory,
    random,
    sids,
    alice,
    bob: [bob, second],
    keys: new Map(),
    renamed,
    fork,
    numbers: { seq: 0 },
  }
  const readers = { bob: await mallory.readersOf(bob.address), alice: await mallory.readersOf(alice.address) }
  const faults = Object.fromEntries(attackKinds.map((kind) => [kind, 0])) as Record<AttackKind, number>
  const start = world.schedule.time()
  for (let i = 0; i < attacks; i++) {
    const kind = attackKinds[(seed + i) % attackKinds.length] as AttackKind
    world.schedule.at(start + random.int(attackMs), () => {
      if (attack(kind, liar, readers)) faults[kind]++
    })
  }
  for (let i = 0; i < 6; i++) {
    const [from, to] = random.pick([
      [alice, bob],
      [bob, alice],
      [second, alice],
    ] as const)
    world.schedule.at(start + random.int(attackMs), () => void ledger.say(from, to.address))
  }
  await world.run({ timeMs: attackMs + 5_000 })
  await world.settled(ledger.say(alice, bob.address))
  await world.settled(ledger.say(bob, alice.address))
  await world.run({ until: ledger.isSettled, timeMs: 600_000 })

  const own = world.handed.filter(({ message }) => message.from === mallory.address)
  const violations = [
    ...ledger.lost(),
    ...ledger.offences().filter((what) => !what.includes(ownWords)),
    ...stuck(world),
    ...plaintext(),
    ...own.flatMap(({ device, text }) => (text.startsWith(ownWords) ? [] : [`${device} was handed ${text} as from mallory`])),
    ...twoFaced(own),
    ...stolenKeys(liar),
    ...forksTaken(world, fork),
  ]
  for (const { name, agent } of [alice, bob, second]) {
    const count = agent.locked().filter(({ from }) => from === mallory.address).length
    if (count > lockedMax) violations.push(`${name} keeps ${count} locked messages of a stranger`)
  }
  await world.close()
  return { violations, faults, messages: ledger.said.length }
}

/** What she may say, since she says it in her own name. */
const ownWords = 'mallory says'

type Liar = {
  readonly world: World
  readonly mallory: RawDevice
  readonly random: SimRandom
  readonly sids: ReadonlySet<string>
  readonly alice: SimDevice
  readonly bob: readonly SimDevice[]
  /** Keys that she asked answers for. */
  readonly keys: Map<string, Key>
  /** Stanzas that leave her relay under the name of alice. */
  readonly renamed: Set<string>
  readonly fork: Fork
  readonly numbers: { seq: number }
}

/** Carries an attack out; answers whether it could. */
function attack(
  kind: AttackKind,
  liar: Liar,
  readers: { readonly bob: readonly Reader[]; readonly alice: readonly Reader[] },
): boolean {
  const { world, mallory, random, alice, numbers } = liar
  const bob = liar.bob[0]?.address as Address
  const now = world.schedule.clock().now()
  const account = readers.bob[0]?.account ?? ''
  const audience = [{ address: bob, account }]
  const text = (what: string) => ({ text: what, to: bob, audience, seq: ++numbers.seq, now, random })
  const to = { address: bob, readers: readers.bob }
  switch (kind) {
    case 'from another':
      for (const isRenamed of [true, false]) {
        const id = mallory.send(textAttributes(mallory, { ...text('forged'), from: alice.address }), to)
        if (isRenamed) liar.renamed.add(id)
      }
      return true
    case 'to another':
      mallory.send(textAttributes(mallory, { ...text('not for bob'), to: alice.address }), to)
      return true
    case 'forwarded':
    case 'forwarded as its author': {
      // What alice signed for her goes on to bob, who is not in its audience.
      const own = mallory.opened(liar.keys)
      for (const { signed } of own) {
        const id = mallory.forward(signed, to)
        if (kind === 'forwarded as its author') liar.renamed.add(id)
      }
      return own.length > 0
    }
    case 'two texts under one number': {
      const says = text('')
      for (const [i, reader] of readers.bob.entries())
        for (const word of ['one', 'other'])
          mallory.send(textAttributes(mallory, { ...says, text: `${ownWords} ${word} ${i} under ${says.seq}` }), {
            address: bob,
            readers: [reader],
          })
      return true
    }
    case 'request for a key of others':
      return requestKeys(liar, readers.alice, 1)
    case 'flood of key requests':
      return requestKeys(liar, readers.alice, floodStanzas)
    case 'second first card': {
      // She signs two cards of one version, and bob's relay serves the other one from now on.
      liar.fork.isServed = true
      const says = textAttributes(mallory, text(`${ownWords} there is news under ${numbers.seq + 1}`))
      const parley = { ...(says.others?.['parley'] as object), card: 2 }
      mallory.send({ ...says, others: { parley } }, to)
      return true
    }
    case 'flood of stanzas': {
      const [key] = liar.sids
      for (let i = 0; i < floodStanzas; i++) mallory.sendOctets(bob, garbage(key, random))
      return true
    }
  }
}

// Session ids are not secret: relays see them.
function requestKeys({ mallory, random, sids, alice, keys, world }: Liar, readers: readonly Reader[], count: number): boolean {
  const now = world.schedule.clock().now()
  const owner = { address: toImUri(alice.address), device: alice.agent.device }
  for (let i = 0; i < count; i++) {
    const sid = i % 2 === 0 ? [...sids][i % sids.size] : base64url(random.bytes(16))
    const eph = generateKey('X25519', { random })
    keys.set(thumbprint(eph), importKey(eph))
    const { crv, kty, x } = publicJwk(eph)
    const attributes = textAttributes(mallory, {
      text: '',
      to: alice.address,
      audience: [{ address: alice.address, account: readers[0]?.account ?? '' }],
      seq: 0,
      now,
      random,
    })
    const body = {
      id: base64url(random.bytes(16)),
      sid: sid ?? '',
      owner,
      eph: { kty, crv: crv ?? '', x: x ?? '' },
      expiry: Math.floor(now / 1000) + 3600,
    }
    mallory.send(
      { ...attributes, type: 'urn:parley:kernel:1:key-request', threadId: uuidUrnFrom(random.bytes(16)), body },
      { address: alice.address, readers },
    )
  }
  return sids.size > 0
}

// Octets that have the form of a message under a session key.
function garbage(sid: string | undefined, random: SimRandom): { readonly entry: Uint8Array; readonly body: Uint8Array } {
  const key = importKey(generateKey('oct-256', { random }))
  const isKnown = random.chance(0.5)
  const kid = isKnown && sid !== undefined ? sid : base64url(random.bytes(16))
  const { body, entries } = sealSigned(base64url(random.bytes(100)), { recipients: [{ kid, key }], random })
  return { body, entry: entries[0]?.entry ?? new Uint8Array() }
}

/** Session ids as a relay sees them pass. */
function watchForSids(world: World): ReadonlySet<string> {
  const sids = new Set<string>()
  const { onFrame } = world.network
  world.network.onFrame = (link) => {
    onFrame(link)
    const read = readFrame(link.bytes)
    if (!read.ok || read.frame.t !== 'stanza' || read.frame.header.from !== 'alice@a.test') return
    const { entries, body, header } = read.frame
    if (!header.to.some((to) => domainOf(to) === 'b.test')) return
    for (const { octets } of entries) {
      const envelope = readEnvelope(octets, body)
      if (envelope.ok && envelope.envelope.alg === 'A256KW') sids.add(envelope.envelope.kid)
    }
  }
  return sids
}

type Fork = {
  readonly card: string
  readonly statement: string
  isServed: boolean
  /** The cards of hers that each device was served. */
  readonly seen: Map<string, Set<string>>
}

type Help = {
  readonly mallory: Address
  readonly fork: Fork
  readonly renamed: ReadonlySet<string>
  readonly as: SimDevice
  /** What bob's relay serves as the card of `as`. */
  readonly instead?: { readonly card: string; readonly statement: string }
}

// Her relay sends what she asks for under another name; with `instead`, bob's relay is in it as well, from his first contact on.
function helpLiar(world: World, { renamed, as, instead, mallory, fork }: Help): void {
  const { address, agent } = as
  const { device } = agent
  world.network.intercept = ({ from, to, bytes }) => {
    const read = readFrame(bytes)
    if (!read.ok) return [bytes]
    const { frame } = read
    if (frame.t === 'stanza' && from === 'a.test' && to === 'b.test' && renamed.has(frame.header.id))
      return [writeFrame({ ...frame, header: { ...frame.header, from: address, device } })]
    if (frame.t !== 'response' || !frame.ok || !to.startsWith('bob@')) return [bytes]
    const { cards, card } = frame.value
    const [first] = Array.isArray(cards) ? cards : [card]
    const served = typeof first === 'string' ? readCard(first) : undefined
    if (served?.ok !== true) return [bytes]
    const other = served.card.address === address ? instead : served.card.address === mallory && fork.isServed ? fork : undefined
    if (served.card.address === mallory && cards !== undefined)
      fork.seen.set(to, (fork.seen.get(to) ?? new Set()).add(other?.card ?? served.jws))
    if (other === undefined) return [bytes]
    const value = cards === undefined ? { card: other.card, statements: [other.statement] } : { cards: [other.card], version: 1 }
    return [writeFrame({ ...frame, value })]
  }
}

// Whoever was served both must have noticed.
function forksTaken(world: World, { seen }: Fork): readonly string[] {
  return [...seen].flatMap(([device, cards]) => {
    const isReported = world.reports.some((report) => report.startsWith(`${device} card-fork`))
    return cards.size > 1 && !isReported ? [`${device} took two first cards of one account`] : []
  })
}

// One number, one text: whoever was handed both was deceived.
function twoFaced(own: World['handed']): readonly string[] {
  const seen = new Set<string>()
  return own.flatMap(({ device, text }) => {
    const name = `${device} ${text.split(' under ')[1]}`
    if (seen.has(name)) return [`${device} was handed two texts under one number`]
    seen.add(name)
    return []
  })
}

// Whatever she can open that carries a key must be of a session that she is in.
function stolenKeys({ mallory, keys }: Liar): readonly string[] {
  return mallory.opened(keys).flatMap(({ signed }) => {
    const { type, body } = payloadOf(signed)
    if (type !== 'urn:parley:kernel:1:key-answer' && type !== 'urn:parley:kernel:1:key') return []
    const { audience } = body as { readonly audience: readonly { readonly address: string }[] }
    const isHers = audience.some(({ address }) => address === toImUri(mallory.address))
    return isHers ? [] : ['mallory was given a session key of others']
  })
}
