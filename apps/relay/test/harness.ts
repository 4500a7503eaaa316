/**
 * The program in this process with signals of its own, and devices on real sockets that talk to it.
 * @module
 */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromUtf8, parseAddress, utf8 } from '@parley/core'
import { signCard, signStatement } from '@parley/identity'
import { generateKey, importKey, type Jwk, type Key, thumbprint } from '@parley/jose'
import { systemClock, systemRandom } from '@parley/platform/system'
import { dialWebSocket } from '@parley/platform/websocket'
import { type C2sEvent, type C2sOutput, c2sProtocol, createC2sClient } from '@parley/stream'
import { runProgram } from '../src/program.ts'

const running: { stop(): Promise<unknown> }[] = []
/** Ends every program that has become ready. */
export async function stopAll(): Promise<void> {
  for (const each of running.splice(0)) await each.stop()
}

/** An empty folder, with a space in its name. */
export function folder(): string {
  return mkdtempSync(join(tmpdir(), 'parley relay '))
}

/** Runs the program in this process, with signals of its own. */
export function run(argv: readonly string[], env: Record<string, string> = {}) {
  const said = { out: '', err: '' }
  const handlers = new Map<string, Set<(name: string) => void>>()
  let onOut = (): void => {}
  let onErr = (): void => {}
  const exit = runProgram({
    argv,
    env,
    out(text) {
      said.out += text
      onOut()
    },
    err(text) {
      said.err += text
      onErr()
    },
    onSignal(names, fn) {
      for (const name of names) handlers.set(name, (handlers.get(name) ?? new Set()).add(fn))
      return () => {
        for (const name of names) handlers.get(name)?.delete(fn)
      }
    },
  })
  const signal = (name: string): void => {
    for (const fn of handlers.get(name) ?? []) fn(name)
  }
  const program = {
    said,
    exit,
    signal,
    /** Resolves when its output is so. */
    says(fits: (out: string) => boolean): Promise<void> {
      return new Promise((done) => {
        onOut = () => fits(said.out) && done()
        onOut()
      })
    },
    /** Resolves when its standard error is so. */
    logs(fits: (err: string) => boolean): Promise<void> {
      return new Promise((done) => {
        onErr = () => fits(said.err) && done()
        onErr()
      })
    },
    stop() {
      signal('SIGTERM')
      return exit
    },
    /** The port of the ready line; fails when the program ends before it. */
    async ready(): Promise<number> {
      const line = /parley-relay ready domain=\S+ port=(\d+) key=\S{43}\n/
      const seen = new Promise<void>((done) => {
        onOut = () => line.test(said.out) && done()
        onOut()
      })
      const code = await Promise.race([seen, exit])
      if (code !== undefined) throw new Error(`ended with ${code}: ${said.err}`)
      running.push(program)
      return Number(line.exec(said.out)?.[1])
    },
  }
  return program
}

/** Who a device is. */
export type Identity = { readonly address: string; readonly signer: Key; readonly card: string; readonly statement: string }

/** An account of one device that no relay knows yet. */
export function identity(address: string): Identity {
  const make = (): Jwk => generateKey('Ed25519', { random: systemRandom })
  const accountKey = importKey(make())
  const signer = importKey(make())
  const id = thumbprint(signer.publicJwk as Jwk) as never
  const now = systemClock.now()
  const card = signCard(
    {
      address: parseAddress(address),
      version: 1,
      prev: null,
      accountKey: accountKey.publicJwk as Jwk,
      next: thumbprint(make()),
      devices: [{ id, signingKey: signer.publicJwk as Jwk, added: now / 1000 }],
    },
    { key: accountKey, now },
  )
  const agreementKey = generateKey('X25519', { random: systemRandom })
  const validity = { issued: now / 1000, expiry: now / 1000 + 3600 }
  const statement = signStatement(
    { device: id, account: card.account, agreementKey, n: 1, head: card.hash, ...validity },
    { key: signer },
  )
  return { address, signer, card: card.jws, statement }
}

/** A device that registers itself, or comes back, and echoes what is needed, on real sockets. */
export async function device(who: Identity | string, port: number, { scheme = 'ws' }: { readonly scheme?: 'ws' | 'wss' } = {}) {
  const me = typeof who === 'string' ? identity(who) : who
  const { signer, card, statement } = me
  const client = createC2sClient({
    address: parseAddress(me.address),
    device: thumbprint(signer.publicJwk as Jwk) as never,
    signer,
    inc: 'AAAAAAAAAAA',
    position: undefined,
    relayKey: undefined,
    random: systemRandom,
    register: { card, statement },
  })
  const events: C2sEvent[] = []
  let sentCount = 0
  const done = new Set<number>()
  const waiting: { readonly find: (event: C2sEvent) => boolean; done(event: C2sEvent): void }[] = []
  const connection = await dialWebSocket(`${scheme}://127.0.0.1:${port}`, {
    subprotocols: [c2sProtocol],
    frameBytesMax: 2 ** 20,
    timeoutMs: 5000,
  })
  const apply = (out: C2sOutput): void => {
    for (const frame of out.frames) connection.send(frame)
    for (const event of out.events) {
      events.push(event)
      for (const each of waiting) if (each.find(event)) each.done(event)
    }
  }
  let closed: (code: number) => void = () => {}
  const ended = new Promise<number>((done) => {
    closed = done
  })
  connection.start({ onFrame: (frame) => apply(client.receive(frame, systemClock.now())), onClose: (code) => closed(code) })
  const event = (find: (each: C2sEvent) => boolean): Promise<C2sEvent> =>
    new Promise((done) => {
      const before = events.find(find)
      if (before === undefined) waiting.push({ find, done })
      else done(before)
    })
  await event(({ kind }) => kind === 'ready')
  return {
    who: me,
    /** The texts of the stanzas that came, in order. */
    texts: () => events.flatMap((each) => (each.kind === 'stanza' ? [fromUtf8(each.stanza.body) ?? ''] : [])),
    /** Acknowledges everything that came. */
    handled(): void {
      for (const each of events) {
        if (each.kind !== 'stanza' || each.stanza.n === undefined || done.has(each.stanza.n)) continue
        done.add(each.stanza.n)
        apply(client.handled(each.stanza.n))
      }
    },
    /** Resolves when the relay has worked off what was sent before. */
    async settled(): Promise<void> {
      const asked = client.request('cards', { address: me.address, since: 0 })
      apply(asked)
      await event((each) => each.kind === 'response' && each.id === asked.id)
    },
    /** How many of its stanzas were accepted. */
    accepted: () => events.filter(({ kind }) => kind === 'accepted').length,
    event,
    send(to: string, text: string, lifeMs = 60_000) {
      const sent = systemClock.now()
      const entries = [{ device: '*', octets: utf8('entry') }] as const
      const stanzaId = `urn:uuid:00000000-0000-4000-8000-${String(++sentCount).padStart(12, '0')}` as never
      apply(
        client.send({
          id: stanzaId,
          to: [parseAddress(to)],
          class: 'durable',
          sent,
          expiry: sent + lifeMs,
          entries,
          body: utf8(text),
        }),
      )
    },
    /** The socket itself, for those who do not keep to the protocol. */
    connection,
    /** The code with which the connection was closed. */
    ended,
    close: () => connection.close(1000, ''),
  }
}

/** Runs a command to its end. */
export async function command(argv: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const { exit, said } = run(argv)
  const code = await exit
  return { code, ...said }
}

/** Runs a command that must succeed, and answers the JSON it prints. */
export async function json<T = Record<string, unknown>>(argv: readonly string[]): Promise<T> {
  const { code, out, err } = await command([...argv, '--json'])
  if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code}: ${err}`)
  return JSON.parse(out) as T
}
