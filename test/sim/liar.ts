/**
 * Relays that lie: what they send is changed on its way out, as a relay with other code would send it. Counts stay
 * consistent, because a lie that the next frame gives away is no lie.
 */
import type { LinkFrame, SimRandom } from '@parley/core/sim'
import { type Frame, readFrame, type StanzaFrame, writeFrame } from '@parley/stream'
import type { World } from '@parley/testing'

export const lieKinds = [
  'dropped stanza',
  'replayed stanza',
  'swapped stanzas',
  'changed entry',
  'changed body',
  'changed header',
  'wrong reader',
  'withheld ack',
  'false bounce',
  'false card version',
  'old answer',
  "another's answer",
  'refused request',
] as const
export type LieKind = (typeof lieKinds)[number]

export interface Liar {
  /** Probability that a frame is lied about; zero is an honest relay. */
  rate: number
  readonly lies: Readonly<Record<LieKind, number>>
  /** Lies each of which may have taken a message out of the world. */
  readonly destroyed: () => number
}

/** One direction of one connection. */
type Lane = {
  /** Stanzas added less stanzas left out. */
  shift: number
  held: StanzaFrame | undefined
  /** Of the other direction: what was asked, by request id, and the newest stanza. */
  readonly asked: Map<string, string>
  lastStanza: StanzaFrame['header']['id'] | undefined
}

type Response = Frame & { t: 'response'; ok: true }

const stanzaLies: readonly LieKind[] = [
  'dropped stanza',
  'replayed stanza',
  'swapped stanzas',
  'changed entry',
  'changed body',
  'changed header',
  'wrong reader',
]
const ackLies: readonly LieKind[] = ['withheld ack', 'false bounce', 'false card version']
const answerLies: readonly LieKind[] = ['old answer', "another's answer", 'refused request']
const destroying: readonly LieKind[] = ['dropped stanza', 'changed entry', 'changed body', 'changed header', 'swapped stanzas']

/** Puts every relay of the world under a liar, honest until its rate is raised. */
export function createLiar(world: World, random: SimRandom): Liar {
  const relays = new Set(world.relays.map(({ name }) => name))
  const lanes = new Map<string, Lane>()
  const seen: StanzaFrame[] = []
  const answers = new Map<string, Response[]>()
  const strays = new Map<string, StanzaFrame[]>()
  const lies = Object.fromEntries(lieKinds.map((kind) => [kind, 0])) as Record<LieKind, number>

  const laneOf = (from: string, { connection }: LinkFrame): Lane => {
    const name = `${connection} ${from}`
    const lane = lanes.get(name) ?? { shift: 0, held: undefined, asked: new Map(), lastStanza: undefined }
    lanes.set(name, lane)
    return lane
  }

  const liar = {
    rate: 0,
    lies,
    destroyed: () => destroying.reduce((sum, kind) => sum + lies[kind] * (kind === 'swapped stanzas' ? 2 : 1), 0),
  }

  // A stanza without a position can be slipped in anywhere.
  const slip = (stanza: StanzaFrame, lane: Lane, after: number): Uint8Array => {
    lane.shift++
    return writeFrame({ ...stanza, place: { c: after + 1 }, header: { ...stanza.header, class: 'ephemeral' } })
  }

  const onStanza = (frame: StanzaFrame, lane: Lane, to: string): readonly Uint8Array[] => {
    const c = frame.place.c + lane.shift
    const here: StanzaFrame = { ...frame, place: { ...frame.place, c } }
    if (lane.held !== undefined) {
      const { held } = lane
      lane.held = undefined
      lies['swapped stanzas']++
      return [writeFrame({ ...here, place: held.place }), writeFrame({ ...held, place: here.place })]
    }
    const stray = strays.get(to)?.shift()
    if (stray !== undefined) {
      lies['wrong reader']++
      return [writeFrame(here), slip(stray, lane, c)]
    }
    const lie = random.chance(liar.rate) ? random.pick(stanzaLies) : undefined
    if (lie === 'dropped stanza') {
      lies[lie]++
      lane.shift--
      return []
    }
    if (lie === 'replayed stanza' && seen.length > 0) {
      lies[lie]++
      return [writeFrame(here), slip(random.pick(seen), lane, c)]
    }
    if (lie === 'swapped stanzas' && here.place.n !== undefined) {
      lane.held = here
      return []
    }
    if (lie === 'changed entry' || lie === 'changed body' || lie === 'changed header') {
      const changed = change(here, lie, random)
      if (changed !== undefined) lies[lie]++
      return [writeFrame(changed ?? here)]
    }
    if (lie === 'wrong reader') {
      const other = random.pick(world.devices).name
      if (other !== to) strays.set(other, [...(strays.get(other) ?? []), readdressed(here)])
    }
    return [writeFrame(here)]
  }

  const onAck = (frame: Frame & { t: 'ack' }, lane: Lane): Frame | undefined => {
    const lie = random.chance(liar.rate) ? random.pick(ackLies) : undefined
    if (lie === undefined) return frame
    lies[lie]++
    if (lie === 'withheld ack') return undefined
    if (lie === 'false card version') {
      const cards = Object.fromEntries(world.devices.map(({ address }) => [address, 1 + random.int(50)]))
      return { ...frame, cards }
    }
    const id = lane.lastStanza
    return id === undefined ? frame : { ...frame, bounced: [{ id, code: 'recipient-unknown', retryable: false }] }
  }

  const onResponse = (frame: Response, asked: string | undefined): Frame => {
    const [what = '', address = ''] = asked?.split(' ') ?? []
    if (what !== 'cards' && what !== 'statements') return frame
    const name = `${what} ${address}`
    const before = answers.get(name) ?? []
    answers.set(name, [...before, frame])
    const lie = random.chance(liar.rate * 3) ? random.pick(answerLies) : undefined
    const { t, id } = frame
    if (lie === 'refused request') {
      lies[lie]++
      return { t, id, ok: false, code: 'unavailable', retryable: true }
    }
    const others = [...answers].flatMap(([other, list]) => (other.startsWith(`${what} `) && other !== name ? list : []))
    const pool = lie === 'old answer' ? before : lie === undefined ? [] : others
    if (lie === undefined || pool.length === 0) return frame
    lies[lie]++
    return { t, id, ok: true, value: random.pick(pool).value }
  }

  world.network.intercept = (link) => {
    const { from, to, bytes } = link
    const read = readFrame(bytes)
    if (!read.ok) return [bytes]
    const { frame } = read
    // What is said to a relay is heard, and never changed.
    if (relays.has(to)) {
      const { asked } = laneOf(to, link)
      if (frame.t === 'request') asked.set(frame.id, `${frame.what} ${String(frame.value['address'])}`)
      if (frame.t === 'stanza') laneOf(to, link).lastStanza = frame.header.id
    }
    if (!relays.has(from)) return [bytes]
    const lane = laneOf(from, link)
    if (frame.t === 'stanza') {
      seen.push(frame)
      return onStanza(frame, lane, to)
    }
    // It counts as a stanza does.
    if (frame.t === 'bounced') return [writeFrame({ ...frame, place: { ...frame.place, c: frame.place.c + lane.shift } })]
    if (frame.t === 'ack') {
      const ack = onAck(frame, lane)
      return ack === undefined ? [] : [writeFrame(ack)]
    }
    if (frame.t === 'response' && frame.ok) return [writeFrame(onResponse(frame, lane.asked.get(frame.id)))]
    return [bytes]
  }
  return liar
}

function change(frame: StanzaFrame, what: LieKind, random: SimRandom): StanzaFrame | undefined {
  if (what === 'changed header')
    return { ...frame, header: { ...frame.header, from: random.pick(['carol@a.test', 'alice@a.test']) as never } }
  if (what === 'changed body') return frame.body.length === 0 ? undefined : { ...frame, body: flip(frame.body, random) }
  const entries = frame.entries.map((entry) =>
    entry.octets.length === 0 ? entry : { ...entry, octets: flip(entry.octets, random) },
  )
  return entries.length === 0 ? undefined : { ...frame, entries }
}

function flip(octets: Uint8Array, random: SimRandom): Uint8Array {
  const changed = octets.slice()
  const at = random.int(changed.length)
  changed[at] = (changed[at] ?? 0) ^ (1 << random.int(8))
  return changed
}

// Its entry under a name that any device takes as its own.
function readdressed(frame: StanzaFrame): StanzaFrame {
  const [first] = frame.entries
  return { ...frame, entries: first === undefined ? [] : [{ device: '*', octets: first.octets }] }
}
