import { type Domain, utf8 } from '@parley/core'
import type { Key } from '@parley/jose'
import { describe, expect, it } from 'vitest'
import {
  createS2sAcceptor,
  createS2sInitiator,
  packEntries,
  packHeader,
  readFrame,
  readS2s,
  type S2sAcceptor,
  type S2sAcceptorEvent,
  type S2sInitiator,
  type S2sInitiatorEvent,
  type StreamLimits,
  signS2s,
  streamLimits,
  writeFrame,
} from '../src/index.ts'
import { alice, bob, deviceOf, domain, now, random, signingKey, stanza } from './parts.ts'

const a = domain('a.example')
const b = domain('b.example')
const keyA = signingKey()
const keyB = signingKey()
const device = deviceOf(signingKey())
const epoch = 'AAAAAAAAAAA'

type Options = {
  initiating?: Domain
  accepting?: Domain
  signerA?: Key
  signerB?: Key
  known?: (thumbprint: string) => boolean
  start?: number
  limitsA?: Partial<StreamLimits>
  limitsB?: Partial<StreamLimits>
  /** The acceptor's proof is one of the first version. */
  isOld?: boolean
}

function pair(options: Options = {}) {
  const { initiating = a, accepting = b, signerA = keyA, signerB = keyB, start = 0, limitsA = {}, limitsB = {} } = options
  const known = options.known ?? ((thumbprint) => thumbprint === keyB.thumbprint)
  const initiator = createS2sInitiator({
    initiating,
    accepting,
    signer: signerA,
    isPeerKey: known,
    epoch,
    start,
    random,
    limits: limitsA,
  })
  const acceptor = createS2sAcceptor({ domain: b, signer: signerB, random, limits: limitsB })
  const seen = { initiator: [] as S2sInitiatorEvent[], acceptor: [] as S2sAcceptorEvent[] }
  const toAcceptor = (out: ReturnType<S2sInitiator['receive']>): void => {
    seen.initiator.push(...out.events)
    for (const frame of out.frames) toInitiator(acceptor.receive(frame))
  }
  const toInitiator = (out: ReturnType<S2sAcceptor['receive']>): void => {
    seen.acceptor.push(...out.events)
    for (const frame of out.frames) toAcceptor(initiator.receive(options.isOld === true ? asOld(frame) : frame))
    for (const event of out.events) {
      if (event.kind === 'claimed')
        toInitiator(event.thumbprint === keyA.thumbprint ? acceptor.admit(now) : acceptor.end('proof-refused'))
    }
  }
  return { initiator, acceptor, seen, toAcceptor, toInitiator, open: () => toInitiator(acceptor.open(now)) }
}

/** The proof without what the first version did not say. */
function asOld(octets: Uint8Array): Uint8Array {
  const read = readFrame(octets, streamLimits)
  const claim = read.ok && read.frame.t === 's2s-proof' ? readS2s(read.frame.jws)?.claim : undefined
  if (!read.ok || read.frame.t !== 's2s-proof' || claim === undefined) return octets
  const { windowStanzas: _, windowBytes: __, ...old } = claim
  return writeFrame({ ...read.frame, jws: signS2s(old, { signer: keyB, now, lifetimeMs: 60_000 }) })
}

function ready(options: Options = {}) {
  const made = pair(options)
  made.open()
  expect([made.initiator.state, made.acceptor.state]).toEqual(['ready', 'ready'])
  return made
}

function stored(text: string, header: object = {}) {
  const { entries, body, ...rest } = stanza(text)
  return { header: packHeader({ ...rest, from: alice, device, ...header }), entry: packEntries(entries), body }
}

const fatal = (events: readonly { kind: string }[]): unknown[] =>
  events.flatMap((event) => (event.kind === 'fatal' && 'code' in event ? [event.code] : []))

describe('a stream between relays', () => {
  it('is ready when both have proved their domain', () => {
    const { seen } = ready()
    expect(seen.acceptor).toEqual([{ kind: 'claimed', initiating: a, thumbprint: keyA.thumbprint }])
    expect(seen.initiator).toEqual([{ kind: 'ready' }])
  })

  it('has as many stanzas on their way as both ends allow, and as few as before with one that does not say', () => {
    const sent = (initiator: S2sInitiator): number => {
      for (let n = 1; initiator.room(10); n++) initiator.deliver(n, stored('x'))
      return initiator.unacknowledged
    }
    expect(sent(ready().initiator)).toBe(512)
    expect(sent(ready({ limitsB: { relayWindowStanzas: 100 } }).initiator)).toBe(100)
    expect(sent(ready({ limitsA: { relayWindowStanzas: 30 } }).initiator)).toBe(30)
    expect(sent(ready({ limitsB: { windowBytes: 50 } }).initiator)).toBeLessThan(10)
    const { initiator, open } = pair({ isOld: true })
    open()
    expect(sent(initiator)).toBe(64)
  })

  it('ends for one who sends beyond the window', () => {
    const { initiator, seen, toAcceptor } = ready({ limitsB: { relayWindowStanzas: 2 } })
    const { initiator: other } = ready()
    expect(initiator.space).toBe(2)
    for (const n of [1, 2, 3]) toAcceptor(other.deliver(n, stored('x')))
    expect(fatal(seen.acceptor)).toEqual(['window-exceeded'])
  })

  it('carries stanzas from where the other end was, and their ends back', () => {
    const { initiator, acceptor, seen, toAcceptor, toInitiator } = ready({ start: 40 })
    toAcceptor(initiator.deliver(41, stored('one')))
    toAcceptor(initiator.deliver(44, stored('two')))
    expect(seen.acceptor.slice(1)).toMatchObject([
      { kind: 'stanza', n: 41, stanza: { body: utf8('one') } },
      { kind: 'stanza', n: 44 },
    ])
    const bounce = { id: stanza('x').id, code: 'recipient-unknown', retryable: false }
    acceptor.settle(41, { cards: { [bob]: 3 } })
    acceptor.settle(44, { bounced: [bounce] })
    toInitiator(acceptor.flush())
    expect(seen.initiator.at(-1)).toEqual({ kind: 'acked', h: 44, cards: { [bob]: 3 }, bounced: [bounce] })
  })

  it('asks and answers', () => {
    const { initiator, acceptor, seen, toAcceptor, toInitiator } = ready()
    const { id, ...out } = initiator.request('cards', { address: bob })
    toAcceptor(out)
    toInitiator(acceptor.respond(id, { ok: true, value: { cards: [] } }))
    expect(seen.initiator.at(-1)).toEqual({ kind: 'response', id, ok: true, value: { cards: [] } })
  })

  it('ends when the dialling relay uses a key that its domain has not published', () => {
    const { open, seen } = pair({ signerA: signingKey() })
    open()
    expect([fatal(seen.acceptor), fatal(seen.initiator)]).toEqual([['proof-refused'], ['proof-refused']])
  })

  it('ends when the dialled relay uses a key that its domain has not published', () => {
    const { open, seen } = pair({ signerB: signingKey() })
    open()
    expect([fatal(seen.acceptor), fatal(seen.initiator)]).toEqual([['proof-refused'], ['proof-refused']])
  })

  it('ends when the proof is meant for another domain', () => {
    const { open, seen, acceptor } = pair({ accepting: domain('c.example') })
    open()
    expect(fatal(seen.initiator)).toEqual(['domain-unknown'])
    expect(acceptor.state).toBe('ended')
  })

  it('does not take the proof of another socket, nor its own reflected', () => {
    const first = pair()
    const [challenge] = first.acceptor.open(now).frames
    const [proof] = first.initiator.receive(challenge ?? new Uint8Array(0)).frames
    const second = pair()
    second.acceptor.open(now)
    expect(fatal(second.acceptor.receive(proof ?? new Uint8Array(0)).events)).toEqual(['login-stale'])
    // The initiator's own proof sent back to it.
    expect(fatal(first.initiator.receive(proof ?? new Uint8Array(0)).events)).toEqual(['frame-unexpected'])
  })

  it('does not take the acceptor’s direction for the initiator’s, or the reverse', () => {
    const { initiator, acceptor } = pair({ known: () => true })
    const [challenge] = acceptor.open(now).frames
    const [proof] = initiator.receive(challenge ?? new Uint8Array(0)).frames
    const reflected = utf8((new TextDecoder().decode(proof) ?? '').replace('"t":"s2s"', '"t":"s2s-proof"'))
    expect(fatal(initiator.receive(reflected).events)).toEqual(['proof-refused'])
  })

  it('ends at a stanza from outside the proved domain, or for another domain', () => {
    const outside = ready()
    outside.toAcceptor(outside.initiator.deliver(1, stored('x', { from: 'eve@c.example' })))
    expect(fatal(outside.seen.acceptor)).toEqual(['stanza-not-yours'])
    const elsewhere = ready()
    elsewhere.toAcceptor(elsewhere.initiator.deliver(1, stored('x', { to: [bob, 'eve@c.example'] })))
    expect(fatal(elsewhere.seen.acceptor)).toEqual(['stanza-not-here'])
  })

  it('ends at an acknowledgement beyond what was sent', () => {
    const { initiator } = ready()
    expect(fatal(initiator.receive(writeFrame({ t: 'ack', epoch, h: 1 })).events)).toEqual(['ack-beyond'])
  })

  it('takes no stanza before both proofs', () => {
    const { acceptor } = pair()
    acceptor.open(now)
    const { entries, body, ...rest } = stanza('x')
    const frame = writeFrame({ t: 'stanza', place: { c: 1, n: 1 }, header: { ...rest, from: alice, device }, entries, body })
    expect(fatal(acceptor.receive(frame).events)).toEqual(['frame-unexpected'])
  })
})
